import { type Permission, PermissionType } from "../api/auth.js";
import { type KeyText, keyText } from "../keys.js";

/** As etcd has it: an empty end, and an empty key, is behind all others. */
interface Interval {
  readonly begin: KeyText;
  readonly end: KeyText;
}

/** What is to be done: a permission for both covers each. */
export type Access = "read" | "write";

/**
 * Whether permissions let one do this with a key, or with all keys of a range.
 *
 * A range may be covered by several permissions that meet. Source: etcd's `server/auth/range_perm_cache.go`.
 */
export function permits(
  permissions: readonly Permission[],
  access: Access,
  key: Uint8Array,
  rangeEnd: Uint8Array,
): boolean {
  const intervals = permissions.filter(({ permType }) => covers(permType, access)).map(intervalOf);
  if (rangeEnd.length === 0) return intervals.some((each) => touches(pointOf(key), each));
  return contains(intervals, { begin: keyText(key), end: endOf(rangeEnd) });
}

/**
 * Whether a permission for this range makes sense; refused since 3.5 if not.
 *
 * That of no key does not, nor that of a range that ends where it begins, or before.
 */
export function isValidRange({ key, rangeEnd }: Permission): boolean {
  if (key.length === 0) return false;
  return rangeEnd.length === 0 || isOpen(rangeEnd) || compare(keyText(key), keyText(rangeEnd)) < 0;
}

function covers(permType: number, access: Access): boolean {
  return permType === PermissionType.readWrite || permType === PermissionType[access];
}

function intervalOf({ key, rangeEnd }: Permission): Interval {
  return rangeEnd.length === 0 ? pointOf(key) : { begin: keyText(key), end: endOf(rangeEnd) };
}

function pointOf(key: Uint8Array): Interval {
  const begin = keyText(key);
  return { begin, end: `${begin}\0` };
}

function endOf(rangeEnd: Uint8Array): KeyText {
  return isOpen(rangeEnd) ? "" : keyText(rangeEnd);
}

function isOpen(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

/** Goes along those that overlap as long as they meet. */
function contains(intervals: readonly Interval[], wanted: Interval): boolean {
  const found = intervals.filter((each) => touches(wanted, each));
  found.sort((one, other) => compare(one.begin, other.begin));
  const [first, ...rest] = found;
  if (!first || compare(first.begin, wanted.begin) > 0) return false;
  let { end } = first;
  for (const each of rest) {
    if (compare(end, each.begin) < 0) return false;
    if (compare(each.end, end) > 0) end = each.end;
  }
  return compare(end, wanted.end) >= 0;
}

/**
 * Also of a range that ends before it begins, if it begins here: so etcd finds with one permission. With several, what
 * it finds for such a range depends on the shape of its tree.
 */
function touches(wanted: Interval, { begin, end }: Interval): boolean {
  if (compare(wanted.begin, end) >= 0) return false;
  return compare(wanted.begin, begin) >= 0 || compare(wanted.end, begin) > 0;
}

function compare(one: KeyText, other: KeyText): number {
  if (one === other) return 0;
  if (one === "") return 1;
  if (other === "") return -1;
  return one < other ? -1 : 1;
}
