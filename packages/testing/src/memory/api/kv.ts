/**
 * The whole vocabulary of etcd's key-value calls: what the store is asked, and what it answers.
 *
 * Nothing is optional but what protobuf can leave out: `EMPTY`, 0 and `false` mean what etcd takes them for.
 * Revisions and counts are `number`: what does not fit is rounded, and still lies beyond all that exists.
 * Ids are `bigint`. Source: https://etcd.io/docs/v3.5/learning/api/
 */

import type { Header, KeyValue } from "@sd/core";

/** No bytes: a field that was not given. */
export const EMPTY = new Uint8Array(0);

export const SortOrder = { none: 0, ascend: 1, descend: 2 } as const;
export const SortTarget = { key: 0, version: 1, create: 2, mod: 3, value: 4 } as const;

export interface RangeRequest {
  readonly key: Uint8Array;
  /** Exclusive; empty: just `key`; one byte 0: without end. */
  readonly rangeEnd: Uint8Array;
  readonly limit: number;
  readonly revision: number;
  readonly sortOrder: number;
  readonly sortTarget: number;
  readonly serializable: boolean;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  readonly minModRevision: number;
  readonly maxModRevision: number;
  readonly minCreateRevision: number;
  readonly maxCreateRevision: number;
}

/** Asks for nothing in particular. */
export const PLAIN_RANGE: RangeRequest = {
  key: EMPTY,
  rangeEnd: EMPTY,
  limit: 0,
  revision: 0,
  sortOrder: 0,
  sortTarget: 0,
  serializable: false,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};

export interface RangeResponse {
  readonly header: Header;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  readonly count: number;
}

export interface PutRequest {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly lease: bigint;
  readonly prevKv: boolean;
  readonly ignoreValue: boolean;
  readonly ignoreLease: boolean;
}

export interface PutResponse {
  readonly header: Header;
  readonly prevKv?: KeyValue | undefined;
}

export interface DeleteRangeRequest {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  readonly prevKv: boolean;
}

export interface DeleteRangeResponse {
  readonly header: Header;
  readonly deleted: number;
  readonly prevKvs: readonly KeyValue[];
}

export const CompareResult = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const;
export const CompareTarget = { version: 0, create: 1, mod: 2, value: 3, lease: 4 } as const;

/** A condition on a key, or on every key of a range. Only the operand that `target` names counts. */
export interface Compare {
  readonly result: number;
  readonly target: number;
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  readonly version: number;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly value: Uint8Array;
  readonly lease: bigint;
}

/** One of these, as in protobuf's `oneof`; none is what etcd refuses. */
export interface RequestOp {
  readonly range?: RangeRequest | undefined;
  readonly put?: PutRequest | undefined;
  readonly deleteRange?: DeleteRangeRequest | undefined;
  readonly txn?: TxnRequest | undefined;
}

export interface TxnRequest {
  readonly compare: readonly Compare[];
  readonly success: readonly RequestOp[];
  readonly failure: readonly RequestOp[];
}

/** The answer to the operation at the same place. */
export interface ResponseOp {
  readonly range?: RangeResponse | undefined;
  readonly put?: PutResponse | undefined;
  readonly deleteRange?: DeleteRangeResponse | undefined;
  readonly txn?: TxnResponse | undefined;
}

export interface TxnResponse {
  readonly header: Header;
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

export interface CompactionRequest {
  readonly revision: number;
  readonly physical: boolean;
}

/** An answer that says nothing but when. */
export interface HeaderResponse {
  readonly header: Header;
}
