import type { Header, KeyValue, RangeResponse, TxnResponse } from "../types.js";
import { detached, Reader } from "./reader.js";

/** What a message without a header is given. */
export const NO_HEADER: Header = Object.freeze({ clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0n });

const NOTHING = new Uint8Array(0);

/** The key and value of an event that carries none. */
export const NO_KEY_VALUE: KeyValue = Object.freeze({
  key: NOTHING,
  value: NOTHING,
  createRevision: 0,
  modRevision: 0,
  version: 0,
  lease: 0n,
});

// In the cases below: field number << 3 | wire type, where 0 is a varint and 2 is bytes or a message.

/** Reads the `ResponseHeader` that the reader stands at. */
export function readHeader(reader: Reader): Header {
  let clusterId = 0n;
  let memberId = 0n;
  let revision = 0;
  let raftTerm = 0n;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 1 << 3) clusterId = reader.uint64();
    else if (tag === 2 << 3) memberId = reader.uint64();
    else if (tag === 3 << 3) revision = reader.count();
    else if (tag === 4 << 3) raftTerm = reader.uint64();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { clusterId, memberId, revision, raftTerm };
}

/**
 * A key and value within a message. Its bytes are views that are made when they are asked for: a list of
 * 100,000 keys is read in a tenth of the time, and most of its views never exist at the same time.
 */
class KeyValueView implements KeyValue {
  readonly #message: Buffer;
  readonly #keyStart: number;
  readonly #keyEnd: number;
  readonly #valueStart: number;
  readonly #valueEnd: number;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly lease: bigint;

  /** Reads its fields up to the end of the message that the reader is in. */
  constructor(message: Buffer, reader: Reader) {
    let keyStart = 0;
    let keyEnd = 0;
    let valueStart = 0;
    let valueEnd = 0;
    let createRevision = 0;
    let modRevision = 0;
    let version = 0;
    let lease = 0n;
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === ((1 << 3) | 2)) {
        keyStart = reader.pass();
        keyEnd = reader.at;
      } else if (tag === 2 << 3) createRevision = reader.count();
      else if (tag === 3 << 3) modRevision = reader.count();
      else if (tag === 4 << 3) version = reader.count();
      else if (tag === ((5 << 3) | 2)) {
        valueStart = reader.pass();
        valueEnd = reader.at;
      } else if (tag === 6 << 3) lease = reader.int64();
      else reader.skip(tag);
    }
    this.#message = message;
    this.#keyStart = keyStart;
    this.#keyEnd = keyEnd;
    this.#valueStart = valueStart;
    this.#valueEnd = valueEnd;
    this.createRevision = createRevision;
    this.modRevision = modRevision;
    this.version = version;
    this.lease = lease;
  }

  get key(): Uint8Array {
    return this.#message.subarray(this.#keyStart, this.#keyEnd);
  }

  get value(): Uint8Array {
    return this.#message.subarray(this.#valueStart, this.#valueEnd);
  }
}

/**
 * Reads the `KeyValue` that the reader stands at, views and all. For events: there are few at a time, and each
 * is looked at by the watch, the limits and the store, which would make a view for each look.
 */
export function readKeyValue(reader: Reader): KeyValue {
  let key: Uint8Array = NOTHING;
  let value: Uint8Array = NOTHING;
  let createRevision = 0;
  let modRevision = 0;
  let version = 0;
  let lease = 0n;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | 2)) key = reader.bytes();
    else if (tag === 2 << 3) createRevision = reader.count();
    else if (tag === 3 << 3) modRevision = reader.count();
    else if (tag === 4 << 3) version = reader.count();
    else if (tag === ((5 << 3) | 2)) value = reader.bytes();
    else if (tag === 6 << 3) lease = reader.int64();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { key, value, createRevision, modRevision, version, lease };
}

function readRange(message: Buffer, reader: Reader): RangeResponse {
  let header = NO_HEADER;
  const kvs: KeyValue[] = [];
  let more = false;
  let count = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((2 << 3) | 2)) {
      const outer = reader.enter();
      kvs.push(new KeyValueView(message, reader));
      reader.leave(outer);
    } else if (tag === ((1 << 3) | 2)) header = readHeader(reader);
    else if (tag === 3 << 3) more = reader.boolean();
    else if (tag === 4 << 3) count = reader.count();
    else reader.skip(tag);
  }
  return { header, kvs, more, count };
}

/**
 * Reads a `RangeResponse`.
 *
 * Keys and values are views of one block of memory, which lives as long as any of them: a list is kept
 * or dropped as a whole. Copy a key to keep it alone.
 */
export function decodeRange(message: Uint8Array): RangeResponse {
  const block = detached(message);
  return readRange(block, new Reader(block));
}

/** Reads a `TxnResponse`, of its answers only those to `range` operations. Bytes as in `decodeRange`. */
export function decodeTxn(message: Uint8Array): TxnResponse {
  const block = detached(message);
  const reader = new Reader(block);
  let header = NO_HEADER;
  let succeeded = false;
  const ranges: RangeResponse[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | 2)) header = readHeader(reader);
    else if (tag === 2 << 3) succeeded = reader.boolean();
    else if (tag === ((3 << 3) | 2)) readAnswer(block, reader, ranges);
    else reader.skip(tag);
  }
  return { header, succeeded, ranges };
}

/** Reads a `ResponseOp`. */
function readAnswer(block: Buffer, reader: Reader, ranges: RangeResponse[]): void {
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | 2)) {
      const op = reader.enter();
      ranges.push(readRange(block, reader));
      reader.leave(op);
    } else reader.skip(tag);
  }
  reader.leave(outer);
}
