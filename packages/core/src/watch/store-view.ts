import type { KeyValue, WatchEvent } from "../etcd/types.js";
import { isHeld } from "./history.js";
import type { Store } from "./store.js";

/**
 * A store as it was when the view was made, while the store goes on changing: only what changes is kept.
 *
 * Valid until the store is replaced.
 */
export class StoreView {
  readonly revision: number;
  readonly size: number;
  readonly #store: Pick<Store, "revisionOf" | "isHeld">;
  readonly #before = new Map<string, number | undefined>();
  /** By how much the number of keys has changed since, at each revision. */
  readonly #growth: { readonly revision: number; readonly by: number }[] = [];

  constructor(store: Pick<Store, "revisionOf" | "isHeld" | "size">, revision: number) {
    this.#store = store;
    this.revision = revision;
    this.size = store.size;
  }

  /** To be called before the store applies `events`. */
  note(events: readonly WatchEvent[]): void {
    const isThere = new Map<string, boolean>();
    for (const { type, kv } of events) {
      const id = idOf(kv.key);
      const held = this.#store.revisionOf(kv.key);
      if (!this.#before.has(id)) this.#before.set(id, held);
      const by = Number(type === "put") - Number(isThere.get(id) ?? held !== undefined);
      if (by !== 0) this.#growth.push({ revision: kv.modRevision, by });
      isThere.set(id, type === "put");
    }
  }

  /** How many keys the store held at a later revision, as far as its changes have arrived. */
  sizeAt(revision: number): number {
    return this.#growth.reduce(
      (size, each) => (each.revision <= revision ? size + each.by : size),
      this.size,
    );
  }

  /** Whether `kv` is what the store held; of what has changed since, by the revision alone. */
  isHeld(kv: KeyValue): boolean {
    if (this.#before.size > 0) {
      const id = idOf(kv.key);
      if (this.#before.has(id)) return this.#before.get(id) === kv.modRevision;
    }
    return isHeld(this.#store, kv);
  }
}

/** One character for each byte. */
function idOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}
