import { type EtcdClient, failureOf, Reflector, SdError } from "@sd/core";
import type { Guard, Known, OnChange } from "./guard.js";
import { textOf } from "./key-text.js";
import { RangeGuard } from "./range-guard.js";
import { SharedGuard } from "./shared-guard.js";
import { CHECK_EVERY_MS, watchKey } from "./watch-key.js";

/** So many of our keys in one folder are watched together. */
export const MIN_TOGETHER = 16;
/** Unless there are so many keys in the range, for each of ours. */
const MOST_EACH = 100;

/**
 * Watches over the keys of a group.
 *
 * A key alone is watched alone. Of many keys in one folder (what is before the last `/`) the range from the
 * first to the last is watched: one watch, and one comparison with etcd now and then, instead of one each.
 * The price: the range is listed once, others' keys in it are listed and followed as well, and their
 * revisions are held. Where that range may not be read, or holds more than 100 keys for each of ours, each key
 * is watched alone.
 */
export class KeyGuards {
  readonly #client: EtcdClient;
  readonly #ranges = new Map<string, RangeGuard>();
  readonly #reflectors = new Map<RangeGuard, Reflector>();
  /** Of each range, who is watched by it. */
  readonly #shared = new Map<RangeGuard, Set<SharedGuard>>();
  #isClosed = false;

  constructor(client: EtcdClient, keys: readonly Uint8Array[]) {
    this.#client = client;
    const folders = new Map<string, Uint8Array[]>();
    for (const key of keys) {
      const inside = folders.get(folderOf(key));
      if (inside) inside.push(key);
      else folders.set(folderOf(key), [key]);
    }
    for (const [folder, inside] of folders) {
      if (inside.length >= MIN_TOGETHER) this.#ranges.set(folder, new RangeGuard(inside));
    }
  }

  watch(key: Uint8Array, known: Known, onChange: OnChange): Guard {
    const range = this.#ranges.size > 0 ? this.#ranges.get(folderOf(key)) : undefined;
    if (!range) return watchKey(this.#client, key, known, onChange);
    if (!this.#isClosed && !this.#reflectors.has(range)) this.#reflectors.set(range, this.#reflect(range));
    // By itself, it is watched from exactly what is known.
    if (range.isAhead(key, known)) return watchKey(this.#client, key, known, onChange);
    const shared = this.#shared.get(range) ?? new Set();
    this.#shared.set(range, shared);
    const guard = new SharedGuard(range, { key, known, onChange }, () => shared.delete(guard));
    shared.add(guard);
    return guard;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#reflectors.values()].map((reflector) => reflector.close()));
  }

  #reflect(store: RangeGuard): Reflector {
    const reflector = new Reflector(this.#client, {
      ...{ range: store.range, store, checkEveryMs: CHECK_EVERY_MS },
      // Of others' keys only the revisions stay.
      ...{ maxKeys: MOST_EACH * store.ownKeys, maxBytes: Number.MAX_SAFE_INTEGER },
    });
    reflector.subscribe((state) => {
      const error = "error" in state ? state.error : undefined;
      if (failureOf(error) === "permission" || SdError.is(error, "SD_LIMIT_EXCEEDED")) this.#part(store);
    });
    return reflector;
  }

  /** The rights are on the single keys, or it would tell of too many: nobody would tell of ours. */
  #part(range: RangeGuard): void {
    for (const [folder, each] of this.#ranges) if (each === range) this.#ranges.delete(folder);
    for (const guard of this.#shared.get(range) ?? []) guard.leave(this.#client);
    this.#shared.delete(range);
    void this.#reflectors.get(range)?.close();
  }
}

function folderOf(key: Uint8Array): string {
  const text = textOf(key);
  return text.slice(0, text.lastIndexOf("/") + 1);
}
