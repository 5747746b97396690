import { escapeControl } from "../kit/errors.js";

/** A key, or all keys in [`key`, `rangeEnd`). */
export interface KeyRange {
  readonly key: Uint8Array;
  readonly rangeEnd?: Uint8Array;
}

/**
 * The range of all keys that begin with `prefix`, computed on bytes.
 *
 * Source: etcd's `clientv3.GetPrefixRangeEnd`: the last byte that can grow is grown, the rest is dropped.
 * With an empty prefix, or nothing but 0xff, the end is `\0`: every key from `prefix` on.
 */
export function prefixRange(prefix: Uint8Array): KeyRange {
  // A range of the empty key is refused by etcd; \0 is the smallest key.
  // A copy, as below: a piece of Node's pool would keep all of its 8 KiB.
  const key = prefix.length === 0 ? Uint8Array.of(0) : Uint8Array.from(prefix);
  for (let length = prefix.length; length > 0; length--) {
    const last = prefix[length - 1] ?? 0xff;
    if (last === 0xff) continue;
    // `slice()` of a Buffer would share its bytes.
    const rangeEnd = Uint8Array.from(prefix.subarray(0, length));
    rangeEnd[length - 1] = last + 1;
    return { key, rangeEnd };
  }
  return { key, rangeEnd: Uint8Array.of(0) };
}

/** The smallest key after `key`. */
export function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** Where `key` is, and without any key: not [`key`, `key`), which would be all keys if that were `\0`. */
export function emptyRange(key: Uint8Array): KeyRange {
  const end = successor(key);
  return { key: end, rangeEnd: end };
}

/** The range as a text for people: where it begins. */
export function printableRange({ key }: KeyRange): string {
  return escapeControl(Buffer.from(key).toString());
}

/** Whether `key` is one of those that `range` stands for. */
export function inRange(key: Uint8Array, { key: start, rangeEnd }: KeyRange): boolean {
  const order = compare(key, start);
  if (rangeEnd === undefined) return order === 0;
  if (order < 0) return false;
  // `\0` stands for "without end".
  const isEndless = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return isEndless || compare(key, rangeEnd) < 0;
}

/** As `Buffer.compare()`, which leaves JavaScript for that: `inRange()` takes 0.02 µs for a key instead of 0.1. */
function compare(one: Uint8Array, other: Uint8Array): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at += 1) {
    const difference = (one[at] as number) - (other[at] as number);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}
