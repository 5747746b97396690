/** The port of `@sd/core` as a door to the store: its requests and answers in etcd's whole vocabulary, and back. */

import type * as port from "@sd/core";
import {
  type Compare,
  CompareTarget,
  EMPTY,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
  type TxnResponse,
} from "./api/kv.js";
import type { LeaseKeepAliveResponse } from "./api/lease.js";
import type { WatchRequest, WatchResponse } from "./api/watch.js";
import { leaseId } from "./lease-id.js";

export function toRange(request: port.RangeRequest): RangeRequest {
  return {
    key: request.key,
    rangeEnd: request.rangeEnd ?? EMPTY,
    limit: request.limit ?? 0,
    revision: request.revision ?? 0,
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
    createRevision: compare.target === "create" ? compare.equals : 0,
    modRevision: compare.target === "mod" ? compare.equals : 0,
    value: EMPTY,
    lease: compare.target === "lease" ? compare.equals : 0n,
  };
}

function toOperation(operation: port.Operation): RequestOp {
  switch (operation.type) {
    case "put": {
      const { key, value, lease } = operation;
      return { put: { key, value, lease, prevKv: false, ignoreValue: false, ignoreLease: false } };
    }
    case "delete":
      return { deleteRange: { key: operation.key, rangeEnd: EMPTY, prevKv: false } };
    case "range":
      return { range: toRange(operation.range) };
  }
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
  const watchId = BigInt(request.watchId);
  if (request.type === "cancel") return { cancel: { watchId } };
  const { key, rangeEnd = EMPTY, startRevision } = request;
  const create = { key, rangeEnd, startRevision, progressNotify: false, filters: [], prevKv: false, watchId };
  return { create: { ...create, fragment: false } };
}

export function fromWatch(response: WatchResponse): port.WatchResponse {
  return { ...response, watchId: Number(response.watchId) };
}
