import {
  type Clock,
  invalidArgument,
  type Limits,
  publish,
  type ReflectorState,
  SdError,
  type Seen,
  type Timer,
  waitFor,
} from "@sd/core";
import type { CacheStorage } from "./cache-file.js";
import { decodeHeader, decodeKeys, encodeCache, mostBytes } from "./cache-lines.js";
import { type DraftingStore, LineStore } from "./line-store.js";

export interface CacheOptions {
  readonly storage: CacheStorage;
  /** Where that is, if it is a file: two of one process would overwrite each other's. */
  readonly path: string | undefined;
  readonly prefix: string;
  readonly clock: Clock;
  readonly limits: Limits;
  /** What is older is not read. */
  readonly maxAgeMs: number;
  /** Whether what is shown is what etcd holds, and worth keeping. */
  readonly isSettled: () => boolean;
  readonly clusterId: () => bigint | undefined;
}

/** What a cache file holds, on its way to a store. */
export interface Restoring {
  readonly seen: Seen;
  /** Shows it. */
  replace(): void;
}

/** A change is on the disk so soon, or with the next that is. */
const SAVE_AFTER_MS = 5_000;
/**
 * Or later: the file is written as a whole, and no more than this part of the time goes into that. 100,000 keys
 * that never rest would else be encoded and written every 5 s.
 */
const WRITING_SHARE = 0.01;
/** Without a change, the file is written so often: it tells how old it is. */
const REFRESH_MS = 600_000;
/** After a failure. */
const RETRY_MS = 60_000;
/** A disk that does not answer keeps nobody from closing. */
const CLOSE_MS = 2_000;

/** Of all caches that are not closed. */
const paths = new Set<string>();

/**
 * The cache file of a discovery: what is known is written to it, and read when etcd does not answer.
 *
 * Nothing that happens to it disturbs the discovery; it is told on `sd:cache:failed`.
 */
export class Cache {
  /** To be filled in place of the store that was handed in. */
  readonly store: LineStore;
  readonly #options: CacheOptions;
  #timer: Timer | undefined;
  #isUnsaved = false;
  /** Not to be written before. */
  #restUntil = Number.NEGATIVE_INFINITY;
  #saving: Promise<void> | undefined;
  /** When etcd was last heard, on the clock; `undefined`: now. */
  #since: number | undefined;
  #isClosed = false;

  /** @throws SdError `SD_INVALID_ARGUMENT` if another cache is kept in the same file. */
  constructor(store: DraftingStore, options: CacheOptions) {
    const { path } = options;
    if (path !== undefined) {
      const requirement = "another one for each discovery of a process, until that is closed";
      if (paths.has(path)) throw invalidArgument("cacheFile", requirement, path);
      paths.add(path);
    }
    this.#options = options;
    this.store = new LineStore(store, () => this.#note());
  }

  /** To be called with each state of the discovery. */
  follow(state: ReflectorState): void {
    if (state.status === "live") this.#since = undefined;
    else if (state.status === "stale") this.#since = state.since;
    else this.#since ??= this.#options.clock.now();
  }

  /** Reads the file; `undefined` if there is none, or if it is refused. */
  async read(): Promise<Uint8Array | undefined> {
    try {
      return await this.#options.storage.read(mostBytes(this.#options.limits));
    } catch (error) {
      return this.#fail("read", error);
    }
  }

  /** Makes of the file what can be shown; `undefined` if it is refused. */
  async decode(bytes: Uint8Array): Promise<Restoring | undefined> {
    const { prefix, limits, clock, storage, maxAgeMs } = this.#options;
    try {
      const header = decodeHeader(bytes, prefix);
      const ageMs = storage.now() - header.at;
      // A calendar that was put back by more than that tells nothing of the age.
      if (Math.abs(ageMs) > maxAgeMs) {
        throw new SdError(
          "SD_UNAVAILABLE",
          `the cache file is ${ageMs} ms old, and at most ${maxAgeMs} may be`,
        );
      }
      const { revision, clusterId, keys } = header;
      const draft = this.store.draft({ revision, epoch: 1 });
      await decodeKeys(bytes, header, { limits, take: (kvs) => draft.take(kvs) });
      const since = clock.now() - Math.max(0, ageMs);
      return {
        seen: { revision, clusterId, since },
        replace: () => {
          draft.replace();
          this.#isUnsaved = false;
          publish("sd:cache:restored", () => ({ prefix, revision, keys, ageMs }));
        },
      };
    } catch (error) {
      return this.#fail("read", error);
    }
  }

  /** Writes what is not written yet, for 2 s at most. Then another may have the file. */
  async close(): Promise<void> {
    const { clock, path } = this.#options;
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
    const saved = this.#saveLast();
    await waitFor(saved, { clock, timeoutMs: CLOSE_MS }).catch(() => {});
    if (path !== undefined) paths.delete(path);
  }

  async #saveLast(): Promise<void> {
    await this.#saving;
    if (this.#isUnsaved) await this.#save();
  }

  #note(): void {
    if (this.#isUnsaved) return;
    this.#isUnsaved = true;
    this.#saveAfter(this.#pauseMs());
  }

  /** From a change to its write. */
  #pauseMs(): number {
    return Math.max(SAVE_AFTER_MS, this.#restUntil - this.#options.clock.now());
  }

  #saveAfter(delayMs: number): void {
    if (this.#isClosed || this.#saving) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      // Nothing new, and etcd cannot be heard: what is written is as old as what is known.
      if (!this.#isUnsaved && this.#since !== undefined) return this.#saveAfter(REFRESH_MS);
      this.#saving = this.#save().then((nextMs) => {
        this.#saving = undefined;
        this.#saveAfter(nextMs);
      });
    });
  }

  /** @returns when to write again. */
  async #save(): Promise<number> {
    const { storage, prefix, clock, clusterId, isSettled } = this.#options;
    const lines = isSettled() ? this.store.lines : undefined;
    if (!lines) return SAVE_AFTER_MS;
    const startedAt = clock.now();
    const { revision } = this.store;
    const staleMs = this.#since === undefined ? 0 : startedAt - this.#since;
    this.#isUnsaved = false;
    try {
      const at = Math.round(storage.now() - staleMs);
      await storage.write(encodeCache({ prefix, clusterId: clusterId(), revision, at }, lines));
    } catch (error) {
      this.#isUnsaved = true;
      this.#fail("write", error);
      return RETRY_MS;
    }
    const keys = lines.length;
    const durationMs = clock.now() - startedAt;
    this.#restUntil = clock.now() + Math.min(REFRESH_MS, durationMs / WRITING_SHARE);
    publish("sd:cache:saved", () => ({ prefix, revision, keys, durationMs }));
    return this.#isUnsaved ? this.#pauseMs() : REFRESH_MS;
  }

  #fail(operation: "read" | "write", error: unknown): undefined {
    const { prefix } = this.#options;
    publish("sd:cache:failed", () => ({ prefix, operation, error }));
  }
}
