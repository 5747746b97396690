/**
 * The vocabulary of etcd's API, as plain values.
 *
 * Lease, cluster and member ids are 64 bits wide and do not fit a `number`: they are `bigint`.
 * Revisions stay far below 2^53 in practice: they are `number`, and the reader refuses what does not fit.
 * Keys and values are bytes.
 * Source: https://etcd.io/docs/v3.5/learning/api/
 */

declare const leaseIdBrand: unique symbol;

/**
 * The id of a lease, chosen by the client: positive, 63 bits. Never 0, which means "no lease".
 *
 * Branded, so that no other number is taken for one: cast where an id is made, or comes from outside.
 */
export type LeaseId = bigint & { readonly [leaseIdBrand]: true };

/** What every answer of etcd begins with. `revision` is the store's, at the time of the answer. */
export interface Header {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: number;
  readonly raftTerm: bigint;
}

/**
 * One key at one revision.
 *
 * Its bytes may be views of the message that it came in, and getters, which `{ ...kv }` does not see: who keeps
 * one copies what is needed, by name.
 */
export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly createRevision: number;
  /** The revision of the last write to this key. */
  readonly modRevision: number;
  /** Writes since creation; 0 in a delete event. */
  readonly version: number;
  /** The lease that the key is bound to, 0n if none. */
  readonly lease: bigint;
}

export interface RangeRequest {
  readonly key: Uint8Array;
  /** Exclusive end. Absent: just `key`. */
  readonly rangeEnd?: Uint8Array;
  /** Read the store as it was at this revision. Absent: now. */
  readonly revision?: number;
  /** At most so many keys. Absent: all. */
  readonly limit?: number;
  readonly keysOnly?: boolean;
  readonly countOnly?: boolean;
}

export interface RangeResponse {
  readonly header: Header;
  /** In the order of their keys. */
  readonly kvs: readonly KeyValue[];
  /** Whether the range holds more keys than `limit` let through. */
  readonly more: boolean;
  /** How many keys the range holds, whatever the limit. */
  readonly count: number;
  /** `kvs` for who goes through them once. Absent where they are an array anyway. */
  readonly page?: Page | undefined;
}

/** The keys and values of an answer, in their order, each made when its turn comes. */
export interface Page {
  readonly length: number;
  /** As they came, in about. */
  readonly bytes: number;
  readonly last: KeyValue | undefined;
  /** So many at a time; the last slice may have fewer. */
  slices(size: number): Iterable<readonly KeyValue[]>;
}

/** A condition of a transaction. */
export type Compare =
  | { readonly target: "create"; readonly key: Uint8Array; readonly equals: number }
  | { readonly target: "mod"; readonly key: Uint8Array; readonly equals: number }
  | { readonly target: "lease"; readonly key: Uint8Array; readonly equals: bigint };

/** One operation of a transaction. */
export type Operation =
  | {
      readonly type: "put";
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      /** Never 0n: such a key would outlive its owner. */
      readonly lease: LeaseId;
    }
  | { readonly type: "range"; readonly range: RangeRequest }
  | { readonly type: "delete"; readonly key: Uint8Array };

export interface TxnRequest {
  /** All must hold for `success` to run; else `failure` runs. */
  readonly compare: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}

export interface TxnResponse {
  readonly header: Header;
  /** Whether every comparison held. */
  readonly succeeded: boolean;
  /** One for each `range` operation that ran, in order; other operations answer nothing. */
  readonly ranges: readonly RangeResponse[];
}

export interface GrantRequest {
  /** Whole seconds; etcd may raise it. */
  readonly ttlSeconds: number;
  readonly id: LeaseId;
}

export interface GrantResponse {
  readonly header: Header;
  readonly id: LeaseId;
  /** The TTL that etcd granted, which may be longer than asked for. */
  readonly ttlSeconds: number;
}

export interface RevokeResponse {
  readonly header: Header;
}

export interface KeepAliveRequest {
  readonly id: LeaseId;
}

export interface KeepAliveResponse {
  readonly header: Header;
  readonly id: LeaseId;
  /** 0 or less means that the lease is gone: etcd says 0, its grpc-proxy says -1. */
  readonly ttlSeconds: number;
}

export type WatchRequest =
  | {
      readonly type: "create";
      /** Chosen by the client: how many watches were created on this stream before. */
      readonly watchId: number;
      readonly key: Uint8Array;
      readonly rangeEnd?: Uint8Array;
      /** The first revision to deliver; at least 1. */
      readonly startRevision: number;
    }
  | { readonly type: "cancel"; readonly watchId: number }
  | { readonly type: "progress" };

/** One change of one key. A delete carries only `key` and `modRevision` in `kv`. */
export interface WatchEvent {
  readonly type: "put" | "delete";
  readonly kv: KeyValue;
}

/**
 * One message of a watch stream.
 *
 * `header.revision` is *not* a resume point in a message with events: a watcher that catches up gets
 * batches whose header already shows the newest revision of the store.
 */
export interface WatchResponse {
  readonly header: Header;
  /** -1 in an answer to a progress request of the whole stream, and in some refusals. */
  readonly watchId: number;
  readonly created: boolean;
  readonly canceled: boolean;
  /** Not 0: the watch was canceled because its revision is compacted; history begins here. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  /** Whether more messages of the same revision follow. */
  readonly fragment: boolean;
  readonly events: readonly WatchEvent[];
}
