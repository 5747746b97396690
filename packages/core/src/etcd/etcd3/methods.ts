import type {
  GrantRequest,
  GrantResponse,
  KeepAliveRequest,
  KeepAliveResponse,
  LeaseId,
  RangeRequest,
  RangeResponse,
  RevokeResponse,
  TxnRequest,
  TxnResponse,
  WatchRequest,
  WatchResponse,
} from "../types.js";
import { decodeRange, decodeTxn } from "./decode-kv.js";
import { decodeLease, decodeRevoke, decodeToken } from "./decode-lease.js";
import { decodeWatch } from "./decode-watch.js";
import {
  encodeAuthenticate,
  encodeGrant,
  encodeLeaseId,
  encodeRange,
  encodeTxn,
  encodeWatch,
} from "./encode.js";

/** A method of etcd, from our values to bytes and back. */
export interface Method<Request, Response> {
  readonly path: string;
  /** Throws `SD_INVALID_ARGUMENT` for what etcd must not be asked. */
  readonly encode: (request: Request) => Buffer;
  /** Throws `SD_INVARIANT` for what cannot be read. */
  readonly decode: (message: Uint8Array) => Response;
}

export const range: Method<RangeRequest, RangeResponse> = {
  path: "/etcdserverpb.KV/Range",
  encode: encodeRange,
  decode: decodeRange,
};

export const txn: Method<TxnRequest, TxnResponse> = {
  path: "/etcdserverpb.KV/Txn",
  encode: encodeTxn,
  decode: decodeTxn,
};

export const grant: Method<GrantRequest, GrantResponse> = {
  path: "/etcdserverpb.Lease/LeaseGrant",
  encode: encodeGrant,
  decode: decodeLease,
};

export const revoke: Method<LeaseId, RevokeResponse> = {
  path: "/etcdserverpb.Lease/LeaseRevoke",
  encode: encodeLeaseId,
  decode: decodeRevoke,
};

export const keepAlive: Method<KeepAliveRequest, KeepAliveResponse> = {
  path: "/etcdserverpb.Lease/LeaseKeepAlive",
  encode: ({ id }) => encodeLeaseId(id),
  decode: decodeLease,
};

export const watch: Method<WatchRequest, WatchResponse> = {
  path: "/etcdserverpb.Watch/Watch",
  encode: encodeWatch,
  decode: decodeWatch,
};

export const authenticate: Method<{ readonly username: string; readonly password: string }, string> = {
  path: "/etcdserverpb.Auth/Authenticate",
  encode: encodeAuthenticate,
  decode: decodeToken,
};
