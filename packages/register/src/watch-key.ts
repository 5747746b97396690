import {
  type EtcdClient,
  type KeyValue,
  type Position,
  Reflector,
  type Store,
  type WatchEvent,
} from "@sd/core";
import { isSameWrite, type Known, type OnChange, type Write } from "./guard.js";

/** A registration hears of its key by the watch; what etcd may lose is rare, and there may be 10,000. */
export const CHECK_EVERY_MS = 600_000;

/**
 * Watches one key, from a revision at which its state is known.
 *
 * After a compaction, or when etcd's history has broken, the key is read anew.
 */
export function watchKey(client: EtcdClient, key: Uint8Array, known: Known, onChange: OnChange): Reflector {
  const store = new KeyStore(key, known.held, onChange);
  const { revision } = known;
  return new Reflector(client, { range: { key }, store, revision, checkEveryMs: CHECK_EVERY_MS });
}

/** What is known of one key. */
class KeyStore implements Store {
  readonly #key: Uint8Array;
  readonly #onChange: OnChange;
  #held: Write | undefined;

  constructor(key: Uint8Array, held: Write | undefined, onChange: OnChange) {
    this.#key = key;
    this.#held = held;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#held ? 1 : 0;
  }

  revisionOf(): number | undefined {
    return this.#held?.modRevision;
  }

  isHeld(kv: KeyValue): boolean {
    return isSameWrite(this.#held, kv);
  }

  replace([current]: readonly KeyValue[], position: Position): void {
    this.#show(current, current?.modRevision ?? position.revision, position);
  }

  apply(events: readonly WatchEvent[], position: Position): boolean {
    const last = events.at(-1);
    if (last) this.#show(last.type === "put" ? last.kv : undefined, last.kv.modRevision, position);
    return true;
  }

  bookmark(): void {}

  #show(current: KeyValue | undefined, revision: number, { epoch }: Position): void {
    this.#held = current && { modRevision: current.modRevision, lease: current.lease };
    // What etcd sent is a view of its whole message, and is kept here for as long as the registration lives.
    const kept = current && { ...current, key: this.#key, value: new Uint8Array(current.value) };
    this.#onChange(kept, { revision, epoch });
  }
}
