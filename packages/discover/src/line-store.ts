import type { Draft, KeyValue, Position, Store, WatchEvent } from "@sd/core";
import { lineOf } from "./cache-lines.js";
import { keyId } from "./rejection.js";

/** A store that takes lists in parts, and tells one write from another. */
export type DraftingStore = Required<Store>;

/**
 * Passes everything on to a store, and keeps what etcd holds as lines of a cache file: about as large as keys and
 * values are.
 */
export class LineStore implements DraftingStore {
  readonly #store: DraftingStore;
  readonly #onChange: () => void;
  #lines = new Map<string, string>();
  #position: Position = { revision: 0, epoch: 1 };
  #isSound = true;

  /** @param onChange called after each change. */
  constructor(store: DraftingStore, onChange: () => void) {
    this.#store = store;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#store.size;
  }

  /** All keys: a copy. `undefined` while they contradict what etcd says; a list follows. */
  get lines(): readonly string[] | undefined {
    return this.#isSound ? Array.from(this.#lines.values()) : undefined;
  }

  get revision(): number {
    return this.#position.revision;
  }

  revisionOf(key: Uint8Array): number | undefined {
    return this.#store.revisionOf(key);
  }

  isHeld(kv: KeyValue): boolean {
    return this.#store.isHeld(kv);
  }

  draft(position: Position): Draft {
    const draft = this.#store.draft(position);
    const lines = new Map<string, string>();
    return {
      take: (kvs) => {
        for (const kv of kvs) lines.set(keyId(kv.key), lineOf(kv));
        draft.take(kvs);
      },
      replace: () => {
        this.#lines = lines;
        this.#position = position;
        this.#isSound = true;
        draft.replace();
        this.#onChange();
      },
    };
  }

  replace(kvs: readonly KeyValue[], position: Position): void {
    const draft = this.draft(position);
    draft.take(kvs);
    draft.replace();
  }

  apply(events: readonly WatchEvent[], position: Position): boolean {
    for (const { type, kv } of events) {
      if (type === "put") this.#lines.set(keyId(kv.key), lineOf(kv));
      else this.#lines.delete(keyId(kv.key));
    }
    this.#position = position;
    this.#isSound = this.#store.apply(events, position);
    this.#onChange();
    return this.#isSound;
  }

  bookmark(position: Position): void {
    this.#position = position;
    this.#store.bookmark(position);
  }
}
