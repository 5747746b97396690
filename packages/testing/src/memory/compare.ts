import type { KeyValue } from "@sd/core";
import { type Compare, CompareResult, CompareTarget, EMPTY } from "./api/kv.js";
import { keyRange } from "./keys.js";
import type { View } from "./store.js";

/** What a key has that does not exist. */
const NONE: KeyValue = { key: EMPTY, value: EMPTY, createRevision: 0, modRevision: 0, version: 0, lease: 0n };

/** Whether a condition holds for the key, or for every key of the range. */
export function holds(view: View, compare: Compare): boolean {
  const { kvs } = view.read({ range: keyRange(compare.key, compare.rangeEnd) });
  // A value that is missing is not even different from any other.
  if (kvs.length === 0) return compare.target !== CompareTarget.value && holdsFor(NONE, compare);
  return kvs.every((kv) => holdsFor(kv, compare));
}

function holdsFor(kv: KeyValue, compare: Compare): boolean {
  const order = difference(kv, compare);
  switch (compare.result) {
    case CompareResult.equal:
      return order === 0;
    case CompareResult.notEqual:
      return order !== 0;
    case CompareResult.greater:
      return order > 0;
    case CompareResult.less:
      return order < 0;
    default:
      return true;
  }
}

/** Below, at or above 0, as what the key has is less than, equal to or greater than the operand. */
function difference(kv: KeyValue, compare: Compare): number {
  switch (compare.target) {
    case CompareTarget.version:
      return kv.version - compare.version;
    case CompareTarget.create:
      return kv.createRevision - compare.createRevision;
    case CompareTarget.mod:
      return kv.modRevision - compare.modRevision;
    case CompareTarget.value:
      return Buffer.compare(kv.value, compare.value);
    case CompareTarget.lease:
      return kv.lease === compare.lease ? 0 : kv.lease < compare.lease ? -1 : 1;
    default:
      return 0;
  }
}
