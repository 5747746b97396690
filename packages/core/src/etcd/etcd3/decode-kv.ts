import type { Header, KeyValue, Page, RangeResponse, TxnResponse } from "../types.js";
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

/** Reads the `KeyValue` that the reader stands at. Its bytes are views. */
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

/**
 * The keys and values of one answer, which are read when their turn comes: so few exist at a time, and the
 * garbage collector finds none to keep. (Objects of 100 bytes for each of a page's 25,000 were copied twice.)
 */
class Answer implements Page {
  readonly length: number;
  /** The message, without what stands before and after it. */
  readonly #message: Buffer;
  /** Where the last of them is. */
  readonly #last: Buffer;
  #all: readonly KeyValue[] | undefined;

  constructor(message: Buffer, length: number, last: Buffer) {
    this.#message = message;
    this.length = length;
    this.#last = last;
  }

  get bytes(): number {
    return this.#message.length;
  }

  get last(): KeyValue | undefined {
    return this.length === 0 ? undefined : readKeyValue(new Reader(this.#last));
  }

  get all(): readonly KeyValue[] {
    if (!this.#all) [this.#all = []] = this.slices(Number.POSITIVE_INFINITY);
    return this.#all;
  }

  *slices(size: number): Generator<readonly KeyValue[], void, void> {
    const reader = new Reader(this.#message);
    let kvs: KeyValue[] = [];
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag !== KEY_VALUE) {
        reader.skip(tag);
        continue;
      }
      kvs.push(readKeyValue(reader));
      if (kvs.length < size) continue;
      yield kvs;
      kvs = [];
    }
    if (kvs.length > 0) yield kvs;
  }
}

const KEY_VALUE = (2 << 3) | 2;

/** A class, not a literal with a getter, which is a hash table to V8: a transaction may have 128 of them. */
class Listed implements RangeResponse {
  readonly header: Header;
  readonly page: Answer;
  readonly more: boolean;
  readonly count: number;

  constructor(header: Header, page: Answer, more: boolean, count: number) {
    this.header = header;
    this.page = page;
    this.more = more;
    this.count = count;
  }

  get kvs(): readonly KeyValue[] {
    return this.page.all;
  }
}

/** Reads the `RangeResponse` that the reader is in. */
function readRange(message: Buffer, reader: Reader): RangeResponse {
  let header = NO_HEADER;
  let more = false;
  let count = 0;
  let length = 0;
  let lastStart = 0;
  let lastEnd = 0;
  const start = reader.at;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === KEY_VALUE) {
      lastStart = reader.at;
      reader.skip(tag);
      lastEnd = reader.at;
      length += 1;
    } else if (tag === ((1 << 3) | 2)) header = readHeader(reader);
    else if (tag === 3 << 3) more = reader.boolean();
    else if (tag === 4 << 3) count = reader.count();
    else reader.skip(tag);
  }
  const last = message.subarray(lastStart, lastEnd);
  return new Listed(header, new Answer(message.subarray(start, reader.at), length, last), more, count);
}

/**
 * Reads a `RangeResponse`.
 *
 * Keys and values are read when they are asked for, and what is broken within one throws only then. They are
 * views of one block of memory, which lives as long as any of them: a list is kept or dropped as a whole. Copy
 * a key to keep it alone.
 */
export function decodeRange(message: Uint8Array): RangeResponse {
  const block = detached(message);
  return readRange(block, new Reader(block));
}

/** Reads a `TxnResponse`, of its answers only those to `range` operations, each as `decodeRange()` does. */
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
