import type { KeyValue } from "@sd/core";
import type { KeyRange, KeyText } from "./keys.js";

/** A key with all its versions that are kept, oldest first; a tombstone has version 0. */
export interface KeyHistory {
  readonly key: KeyText;
  readonly versions: KeyValue[];
}

/** A bucket that grows beyond this is split. */
const BUCKET_SIZE = 512;

/** Keys in their order, in buckets: a new key among 100,000 moves at most a bucket's. */
export class KeyIndex {
  readonly #byKey = new Map<KeyText, KeyHistory>();
  #buckets: KeyHistory[][] = [[]];

  get(key: KeyText): KeyHistory | undefined {
    return this.#byKey.get(key);
  }

  getOrAdd(key: KeyText): KeyHistory {
    const known = this.#byKey.get(key);
    if (known) return known;
    const history: KeyHistory = { key, versions: [] };
    this.#byKey.set(key, history);
    const number = this.#bucketOf(key);
    const bucket = this.#buckets[number] as KeyHistory[];
    bucket.splice(indexIn(bucket, key), 0, history);
    if (bucket.length > BUCKET_SIZE) this.#buckets.splice(number + 1, 0, bucket.splice(BUCKET_SIZE / 2));
    return history;
  }

  /** The keys of a range that are known, deleted ones included. Do not add any while iterating. */
  *within({ from, to }: KeyRange): Generator<KeyHistory> {
    let number = this.#bucketOf(from);
    let index = indexIn(this.#buckets[number] as KeyHistory[], from);
    for (; number < this.#buckets.length; number += 1) {
      const bucket = this.#buckets[number] as KeyHistory[];
      for (; index < bucket.length; index += 1) {
        const history = bucket[index] as KeyHistory;
        if (to !== undefined && history.key >= to) return;
        yield history;
      }
      index = 0;
    }
  }

  /** Lets `keep` shorten each key's versions, and drops the keys that have none left. */
  prune(keep: (history: KeyHistory) => void): void {
    this.#buckets = this.#buckets
      .map((bucket) =>
        bucket.filter((history) => {
          keep(history);
          if (history.versions.length === 0) this.#byKey.delete(history.key);
          return history.versions.length > 0;
        }),
      )
      .filter((bucket) => bucket.length > 0);
    if (this.#buckets.length === 0) this.#buckets.push([]);
  }

  /** The last bucket that begins at or before `key`, else the first. */
  #bucketOf(key: KeyText): number {
    let low = 0;
    let high = this.#buckets.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (((this.#buckets[middle] as KeyHistory[])[0] as KeyHistory).key <= key) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** Where `key` is in the bucket, or would be. */
function indexIn(bucket: readonly KeyHistory[], key: KeyText): number {
  let low = 0;
  let high = bucket.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bucket[middle] as KeyHistory).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The version that was in force at `revision`, unless the key was deleted then. */
export function versionAt(versions: readonly KeyValue[], revision: number): KeyValue | undefined {
  let index = versions.length - 1;
  if (index >= 0 && (versions[index] as KeyValue).modRevision > revision) {
    let low = 0;
    while (low < index) {
      const middle = (low + index) >>> 1;
      if ((versions[middle] as KeyValue).modRevision <= revision) low = middle + 1;
      else index = middle;
    }
    index = low - 1;
  }
  const kv = versions[index];
  return kv?.version === 0 ? undefined : kv;
}
