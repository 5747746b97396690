import type { Header, KeyValue } from "@sd/core";
import { EMPTY, type RangeRequest, type RangeResponse, SortOrder, SortTarget } from "./api/kv.js";
import { keyRange } from "./keys.js";
import { refusal } from "./refusals.js";
import type { View } from "./store.js";

/** Within a transaction, the header of an answer carries nothing but the revision. */
export function innerHeader(revision: number): Header {
  return { clusterId: 0n, memberId: 0n, revision, raftTerm: 0n };
}

/** @throws SdError as etcd does. An unknown sort target makes etcd panic; here it is refused in its words. */
export function checkRange({ key, sortTarget }: RangeRequest): void {
  if (key.length === 0) throw refusal("emptyKey");
  if (sortTarget < 0 || sortTarget > SortTarget.value) throw refusal("invalidSort");
}

/**
 * Reads a range as etcd does: bounds on revisions first, then the order, then the limit.
 *
 * `count` is of the whole range, whatever the bounds. Keys that are equal by what they are sorted by stay in
 * the order of the keys; etcd leaves that open.
 */
export function runRange(view: View, request: RangeRequest): RangeResponse {
  const { limit, countOnly, keysOnly, revision } = request;
  const range = keyRange(request.key, request.rangeEnd);
  const fetched = limit > 0 && !needsAll(request) ? limit + 1 : 0;
  const reading = view.read({ range, revision, limit: fetched, countOnly });
  let kvs = ordered(reading.kvs.filter(bounds(request)), request);
  const more = limit > 0 && kvs.length > limit;
  if (more) kvs = kvs.slice(0, limit);
  if (keysOnly) kvs = kvs.map((kv) => ({ ...kv, value: EMPTY }));
  return { header: innerHeader(view.revision), kvs, more, count: reading.count };
}

/** Sorting without a direction sorts only what the limit has let through: so does etcd. */
function needsAll(request: RangeRequest): boolean {
  const { sortOrder, minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return [sortOrder, minModRevision, maxModRevision, minCreateRevision, maxCreateRevision].some(
    (value) => value !== 0,
  );
}

function bounds(request: RangeRequest): (kv: KeyValue) => boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return ({ modRevision, createRevision }) =>
    (maxModRevision === 0 || modRevision <= maxModRevision) &&
    (minModRevision === 0 || modRevision >= minModRevision) &&
    (maxCreateRevision === 0 || createRevision <= maxCreateRevision) &&
    (minCreateRevision === 0 || createRevision >= minCreateRevision);
}

const comparators: Readonly<Record<number, (one: KeyValue, other: KeyValue) => number>> = {
  [SortTarget.key]: (one, other) => Buffer.compare(one.key, other.key),
  [SortTarget.version]: (one, other) => one.version - other.version,
  [SortTarget.create]: (one, other) => one.createRevision - other.createRevision,
  [SortTarget.mod]: (one, other) => one.modRevision - other.modRevision,
  [SortTarget.value]: (one, other) => Buffer.compare(one.value, other.value),
};

function ordered(kvs: KeyValue[], { sortOrder, sortTarget }: RangeRequest): KeyValue[] {
  const compare = comparators[sortTarget];
  if (!compare) return kvs;
  if (sortOrder === SortOrder.descend) return kvs.sort((one, other) => compare(other, one));
  const isAscending = sortOrder === SortOrder.none || sortOrder === SortOrder.ascend;
  return isAscending && sortTarget !== SortTarget.key ? kvs.sort(compare) : kvs;
}
