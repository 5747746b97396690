import type { KeyValue } from "@sd/core";
import type { Event, WatchResponse } from "./api/watch.js";
import { MAX_MESSAGE_BYTES } from "./limits.js";

/** Cuts a message that is too large into several, all but the last marked; an event is never cut. */
export function* fragments(response: WatchResponse): Generator<WatchResponse> {
  const { events } = response;
  const frame = messageSize({ ...response, events: [] });
  const sizes = events.map(eventSize);
  if (frame + sizes.reduce((sum, size) => sum + size, 0) < MAX_MESSAGE_BYTES || events.length < 2) {
    yield response;
    return;
  }
  // The flag of a fragment takes two bytes.
  const fragmentFrame = frame + 2;
  for (let start = 0; start < events.length; ) {
    let size = fragmentFrame + (sizes[start] ?? 0);
    let end = start + 1;
    while (end < events.length && size + (sizes[end] ?? 0) < MAX_MESSAGE_BYTES) size += sizes[end++] ?? 0;
    yield { ...response, fragment: end < events.length, events: events.slice(start, end) };
    start = end;
  }
}

function messageSize({ header, watchId }: WatchResponse): number {
  const { clusterId, memberId, revision, raftTerm } = header;
  return framed(varint(clusterId) + varint(memberId) + varint(revision) + varint(raftTerm)) + varint(watchId);
}

function eventSize({ type, kv, prevKv }: Event): number {
  const inner = (type === "delete" ? 2 : 0) + framed(kvSize(kv)) + (prevKv ? framed(kvSize(prevKv)) : 0);
  return framed(inner);
}

function kvSize({ key, value, createRevision, modRevision, version, lease }: KeyValue): number {
  const numbers = varint(createRevision) + varint(modRevision) + varint(version) + varint(lease);
  return numbers + (key.length && framed(key.length)) + (value.length && framed(value.length));
}

/** Tag, length and content. */
function framed(length: number): number {
  return 1 + Math.max(1, varint(length) - 1) + length;
}

/** Tag and number; nothing for 0. */
function varint(value: number | bigint): number {
  if (value === 0 || value === 0n) return 0;
  let bytes = 2;
  for (let rest = BigInt.asUintN(64, BigInt(value)); rest >= 0x80n; rest >>= 7n) bytes += 1;
  return bytes;
}
