import type { FailureKind } from "../etcd/failure.js";
import type { Page } from "../etcd/types.js";

/** Enough to measure by; passes within the deadline of a call at 64 KiB/s, with values of 200 bytes. */
const FIRST_KEYS = 1_000;
/**
 * etcd counts the rest of the range for every page, so pages of large ranges must be a good part of them:
 * 100,000 keys take 1900 ms in pages of 1,000, 430 in pages of 10,000 and 250 in four.
 */
const PARTS = 4;
/** Less is not worth a page. */
const LEAST_PART_KEYS = 10_000;
/** What a page should take, by the pace of the last: a fifth of the default deadline of a call. */
const PAGE_MS = 1_000;
/** A quarter of the default receive limit: sizes are guessed from a few keys. */
const PAGE_BYTES = 16 * 1024 * 1024;
/** After so many lists in a row that compaction overtook, each next one is read in pages ten times larger. */
const PATIENT_RESTARTS = 1;
const MOST_PATIENCE = 1_000;

/** Down to how many keys a page may be cut after a failure; other failures are not of its size. */
const smallestPage: Partial<Record<FailureKind, number>> = {
  "too-large": 1,
  // Fewer would not be faster: then it is etcd that does not answer.
  timeout: 100,
  network: 100,
};

/**
 * How many keys the next page of a list should have: few at first, then as many as the link has shown to
 * carry in a second. Where compaction is so frequent that it overtakes the pages, they grow. Keep it from list
 * to list: what a failure has taught outlives the list that failed.
 */
export class PageSize {
  #limit = FIRST_KEYS;
  /** Pages above this took too long; each that comes in time doubles it. */
  #slow = Number.POSITIVE_INFINITY;
  /** Pages above this were too large; each complete list doubles it. */
  #large = Number.POSITIVE_INFINITY;
  /** How many keys the range holds. */
  #count = 0;
  /** How many lists in a row compaction has overtaken. */
  #restarts = 0;

  get limit(): number {
    return this.#limit;
  }

  /** A list begins. */
  begin(): void {
    const patience = this.#patience;
    const first = patience === 1 ? FIRST_KEYS : LEAST_PART_KEYS * patience;
    this.#count = 0;
    this.#limit = Math.min(first, this.#slow, this.#large);
  }

  /** A page has come, of a range of `count` keys, so many milliseconds after it was asked for. */
  came({ length, bytes }: Pick<Page, "length" | "bytes">, count: number, durationMs: number): void {
    if (length === 0) return;
    if (durationMs < PAGE_MS) this.#slow *= 2;
    this.#count = Math.max(this.#count, count);
    const inTime = (length / Math.max(1, durationMs)) * PAGE_MS;
    const inBytes = (length / bytes) * PAGE_BYTES;
    const part = Math.max(LEAST_PART_KEYS, this.#count / PARTS);
    const keys = Math.min(inTime, inBytes, part) * this.#patience;
    this.#limit = Math.max(1, Math.ceil(Math.min(keys, this.#slow, this.#large)));
  }

  /**
   * A page of `limit` keys has failed, so many milliseconds after it was asked for.
   *
   * @returns whether a smaller one may succeed.
   */
  failed(kind: FailureKind | undefined, durationMs: number): boolean {
    const least = smallestPage[kind ?? "unknown"] ?? this.#limit;
    // A connection that broke at once did not break under the page.
    if (this.#limit <= least || (kind === "network" && durationMs < PAGE_MS)) return false;
    this.#limit = Math.max(least, this.#limit >> 2);
    if (kind === "too-large") this.#large = this.#limit;
    else this.#slow = this.#limit;
    return true;
  }

  /** The list's revision was compacted meanwhile. */
  overtaken(): void {
    this.#restarts += 1;
  }

  /** The list is complete. */
  completed(): void {
    this.#large *= 2;
    this.#restarts = 0;
  }

  /** Fewer and larger pages are worth waiting for, if compaction overtakes many. */
  get #patience(): number {
    return Math.min(MOST_PATIENCE, 10 ** Math.max(0, this.#restarts - PATIENT_RESTARTS));
  }
}
