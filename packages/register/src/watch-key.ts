import { type EtcdClient, type KeyValue, Reflector, type Store } from "@sd/core";

/**
 * Watches one key, from a revision at which its state is known.
 *
 * `onChange` gets what the key holds since `revision`, `undefined` if it is gone: of several changes in one
 * message only the outcome. After a compaction, or when etcd's history has broken, the key is read anew.
 */
export function watchKey(
  client: EtcdClient,
  key: Uint8Array,
  revision: number,
  onChange: (current: KeyValue | undefined, revision: number) => void,
): Reflector {
  const store: Store = {
    replace: ([current], position) => onChange(current, current?.modRevision ?? position.revision),
    apply(events) {
      const last = events.at(-1);
      if (last) onChange(last.type === "put" ? last.kv : undefined, last.kv.modRevision);
    },
    bookmark() {},
  };
  return new Reflector(client, { range: { key }, store, revision });
}
