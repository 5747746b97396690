/**
 * The port of `@sd/core` as a door to the store: its requests and answers in etcd's whole vocabulary, and back.
 *
 * What the adapter to a real etcd cannot write, and refuses before it sends, is refused here too.
 */

import type * as port from "@sd/core";
import { invalidArgument } from "@sd/core";
import {
  type Compare,
  CompareTarget,
  EMPTY,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
  type TxnResponse,
} from "./api/kv.js";
import type { LeaseGrantRequest, LeaseKeepAliveResponse, LeaseRequest } from "./api/lease.js";
import type { WatchRequest, WatchResponse } from "./api/watch.js";
import { leaseId } from "./lease-id.js";
import { largerThanMax, MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES } from "./limits.js";
import { refusal, transportError } from "./refusals.js";

export function toRange(request: port.RangeRequest): RangeRequest {
  return {
    key: request.key,
    rangeEnd: request.rangeEnd ?? EMPTY,
    limit: whole(request.limit ?? 0),
    revision: whole(request.revision ?? 0),
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: request.keysOnly ?? false,
    countOnly: request.countOnly ?? false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
}

export function toTxn({ compare, success, failure }: port.TxnRequest): TxnRequest {
  return {
    compare: compare.map(toCompare),
    success: success.map(toOperation),
    failure: failure.map(toOperation),
  };
}

function toCompare(compare: port.Compare): Compare {
  const { key, target } = compare;
  return {
    result: 0,
    target: CompareTarget[target],
    key,
    rangeEnd: EMPTY,
    version: 0,
    createRevision: compare.target === "create" ? whole(compare.equals) : 0,
    modRevision: compare.target === "mod" ? whole(compare.equals) : 0,
    value: EMPTY,
    lease: compare.target === "lease" ? whole(compare.equals) : 0n,
  };
}

function toOperation(operation: port.Operation): RequestOp {
  switch (operation.type) {
    case "put": {
      const { key, value } = operation;
      const lease = checkedLease(operation.lease);
      return { put: { key, value, lease, prevKv: false, ignoreValue: false, ignoreLease: false } };
    }
    case "delete":
      return { deleteRange: { key: operation.key, rangeEnd: EMPTY, prevKv: false } };
    case "range":
      return { range: toRange(operation.range) };
  }
}

/**
 * Refuses what is too large for etcd, give or take the few bytes that protobuf adds.
 *
 * @throws SdError as etcd does
 */
export function checkSize(
  request: { readonly txn: port.TxnRequest } | { readonly range: port.RangeRequest },
): void {
  const size = "txn" in request ? txnSize(request.txn) : rangeSize(request.range);
  if (size > MAX_MESSAGE_BYTES) throw transportError(8, largerThanMax(size));
  if ("txn" in request && size > MAX_REQUEST_BYTES) throw refusal("requestTooLarge");
}

function txnSize({ compare, success, failure }: port.TxnRequest): number {
  let size = 0;
  for (const { key } of compare) size += key.length;
  for (const operation of [...success, ...failure]) {
    if (operation.type === "range") size += rangeSize(operation.range);
    else size += operation.key.length + (operation.type === "put" ? operation.value.length : 0);
  }
  return size;
}

function rangeSize({ key, rangeEnd }: port.RangeRequest): number {
  return key.length + (rangeEnd?.length ?? 0);
}

/** @throws SdError `SD_INVALID_ARGUMENT`, as the adapter does for a request that cannot be written. */
export function toGrant({ id, ttlSeconds }: port.GrantRequest): LeaseGrantRequest {
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 1) {
    throw invalidArgument("ttlSeconds", "a whole number of at least 1", ttlSeconds);
  }
  return { id: checkedLease(id), ttl: ttlSeconds };
}

/** Of a renewal, and of a revocation. */
export function toLease({ id }: port.KeepAliveRequest): LeaseRequest {
  return { id: checkedLease(id) };
}

function checkedLease(id: bigint): bigint {
  if (typeof id !== "bigint" || id < 1n || id >= 1n << 63n) {
    throw invalidArgument("lease id", "a bigint from 1 to 2^63 - 1", id);
  }
  return id;
}

function whole<Value extends number | bigint>(value: Value): Value {
  const isWhole = typeof value === "bigint" ? value >= 0n : Number.isSafeInteger(value) && value >= 0;
  if (!isWhole) throw invalidArgument("a number of a request", "a whole number from 0", value);
  return value;
}

/** The port hears only what was read. */
export function fromTxn({ header, succeeded, responses }: TxnResponse): port.TxnResponse {
  return { header, succeeded, ranges: responses.flatMap(({ range }) => (range ? [range] : [])) };
}

/** Of a grant, and of a renewal. */
export function fromLease({ header, id, ttl }: LeaseKeepAliveResponse): port.KeepAliveResponse {
  return { header, id: leaseId(id), ttlSeconds: ttl };
}

export function toWatch(request: port.WatchRequest): WatchRequest {
  if (request.type === "progress") return { progress: {} };
  const watchId = BigInt(whole(request.watchId));
  if (request.type === "cancel") return { cancel: { watchId } };
  const { key, rangeEnd = EMPTY, startRevision } = request;
  if (!Number.isSafeInteger(startRevision) || startRevision < 1) {
    throw invalidArgument("startRevision", "a whole number of at least 1", startRevision);
  }
  // The adapter asks for progress too: a quiet watch hears the revision every ten minutes.
  const create = { key, rangeEnd, startRevision, progressNotify: true, filters: [], prevKv: false, watchId };
  return { create: { ...create, fragment: false } };
}

export function fromWatch(response: WatchResponse): port.WatchResponse {
  return { ...response, watchId: Number(response.watchId) };
}
