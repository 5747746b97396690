import { invalidArgument } from "../../kit/errors.js";
import type {
  Compare,
  GrantRequest,
  LeaseId,
  Operation,
  RangeRequest,
  TxnRequest,
  WatchRequest,
} from "../types.js";
import { Writer } from "./writer.js";

// The field numbers are those of etcd's rpc.proto.

/** Writes a `RangeRequest`. */
export function encodeRange(request: RangeRequest): Buffer {
  return writeRange(request).finish();
}

function writeRange({ key, rangeEnd, revision, limit, keysOnly, countOnly }: RangeRequest): Writer {
  return new Writer()
    .bytes(1, key)
    .bytes(2, rangeEnd)
    .number(3, limit)
    .number(4, revision)
    .number(8, keysOnly)
    .number(9, countOnly);
}

/** Writes a `TxnRequest`. */
export function encodeTxn({ compare, success, failure }: TxnRequest): Buffer {
  const txn = new Writer();
  for (const condition of compare) txn.message(1, writeCompare(condition));
  for (const operation of success) txn.message(2, writeOperation(operation));
  for (const operation of failure) txn.message(3, writeOperation(operation));
  return txn.finish();
}

/** `CompareTarget`, and the field that holds the value to compare with. */
const targets = {
  create: { target: 1, field: 5 },
  mod: { target: 2, field: 6 },
  lease: { target: 4, field: 8 },
} as const;

function writeCompare({ target, key, equals }: Compare): Writer {
  const { target: number, field } = targets[target];
  return new Writer().number(2, number).bytes(3, key).required(field, equals);
}

function writeOperation(operation: Operation): Writer {
  switch (operation.type) {
    case "range":
      return new Writer().message(1, writeRange(operation.range));
    case "put": {
      // A key without a lease would stay for ever, whatever becomes of its owner.
      const lease = checkedLease(operation.lease);
      return new Writer().message(
        2,
        new Writer().bytes(1, operation.key).bytes(2, operation.value).number(3, lease),
      );
    }
    case "delete":
      return new Writer().message(3, new Writer().bytes(1, operation.key));
  }
}

/** Writes a `LeaseGrantRequest`. */
export function encodeGrant({ id, ttlSeconds }: GrantRequest): Buffer {
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 1) {
    throw invalidArgument("ttlSeconds", "a whole number of at least 1", ttlSeconds);
  }
  return new Writer().number(1, ttlSeconds).number(2, checkedLease(id)).finish();
}

/** Writes a `LeaseRevokeRequest` or a `LeaseKeepAliveRequest`, which look the same. */
export function encodeLeaseId(id: LeaseId): Buffer {
  return new Writer().number(1, checkedLease(id)).finish();
}

/** Writes a `WatchRequest`. */
export function encodeWatch(request: WatchRequest): Buffer {
  switch (request.type) {
    case "create":
      return new Writer().message(1, writeCreate(request)).finish();
    case "cancel":
      return new Writer().message(2, new Writer().number(1, request.watchId)).finish();
    case "progress":
      return new Writer().message(3, new Writer()).finish();
  }
}

function writeCreate(request: Extract<WatchRequest, { type: "create" }>): Writer {
  const { key, rangeEnd, startRevision, watchId } = request;
  // etcd takes 0 for "from now on", which leaves a gap; below 0 it does one thing or another, by version.
  if (!Number.isSafeInteger(startRevision) || startRevision < 1) {
    throw invalidArgument("startRevision", "a whole number of at least 1", startRevision);
  }
  return (
    new Writer()
      .bytes(1, key)
      .bytes(2, rangeEnd)
      .number(3, startRevision)
      // progress_notify: a quiet watch hears the revision every ten minutes.
      .number(4, true)
      .number(7, watchId)
  );
}

/** Writes an `AuthenticateRequest`. */
export function encodeAuthenticate(auth: { readonly username: string; readonly password: string }): Buffer {
  return new Writer().bytes(1, auth.username).bytes(2, auth.password).finish();
}

/** Negative ids were a corruption bug of etcd 3.4; 0 means "no lease". */
function checkedLease(id: LeaseId): bigint {
  if (typeof id !== "bigint" || id < 1n || id >= 1n << 63n) {
    throw invalidArgument("lease id", "a bigint from 1 to 2^63 - 1", id);
  }
  return id;
}
