import { type EtcdClient, type KeyValue, type Position, Reflector, type Store } from "@sd/core";
import { isSameWrite, type Known, type OnChange } from "./guard.js";

/** A registration hears of its key by the watch; what etcd may lose is rare, and there may be 10,000. */
export const CHECK_EVERY_MS = 600_000;

/**
 * Watches one key, from a revision at which its state is known.
 *
 * After a compaction, or when etcd's history has broken, the key is read anew.
 */
export function watchKey(
  client: EtcdClient,
  key: Uint8Array,
  { revision, held: first }: Known,
  onChange: OnChange,
): Reflector {
  let held = first;
  const show = (current: KeyValue | undefined, revision: number, { epoch }: Position): void => {
    held = current && { modRevision: current.modRevision, lease: current.lease };
    // What etcd sent is a view of its whole message, and is kept here for as long as the registration lives.
    onChange(current && { ...current, key, value: Uint8Array.from(current.value) }, { revision, epoch });
  };
  const store: Store = {
    get size() {
      return held === undefined ? 0 : 1;
    },
    revisionOf: () => held?.modRevision,
    isHeld: (kv) => isSameWrite(held, kv),
    replace: ([current], position) => show(current, current?.modRevision ?? position.revision, position),
    apply(events, position) {
      const last = events.at(-1);
      if (last) show(last.type === "put" ? last.kv : undefined, last.kv.modRevision, position);
      return true;
    },
    bookmark() {},
  };
  return new Reflector(client, { range: { key }, store, revision, checkEveryMs: CHECK_EVERY_MS });
}
