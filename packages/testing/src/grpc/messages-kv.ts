/** Field numbers of etcd's key-value messages, as in `etcdserverpb/rpc.proto` and `mvccpb/kv.proto`. */

import type { Header, KeyValue } from "@sd/core";
import type * as kv from "../memory/api/kv.js";
import { always, boolean, bytes, int64, message, messages, number, uint64 } from "./fields.js";
import type { Schema } from "./schema.js";

export const header: Schema<Header> = {
  clusterId: uint64(1),
  memberId: uint64(2),
  revision: number(3),
  raftTerm: uint64(4),
};

export const headerResponse: Schema<kv.HeaderResponse> = { header: always(1, () => header) };

export const keyValue: Schema<KeyValue> = {
  key: bytes(1),
  createRevision: number(2),
  modRevision: number(3),
  version: number(4),
  value: bytes(5),
  lease: int64(6),
};

export const rangeRequest: Schema<kv.RangeRequest> = {
  key: bytes(1),
  rangeEnd: bytes(2),
  limit: number(3),
  revision: number(4),
  sortOrder: number(5),
  sortTarget: number(6),
  serializable: boolean(7),
  keysOnly: boolean(8),
  countOnly: boolean(9),
  minModRevision: number(10),
  maxModRevision: number(11),
  minCreateRevision: number(12),
  maxCreateRevision: number(13),
};

export const rangeResponse: Schema<kv.RangeResponse> = {
  header: always(1, () => header),
  kvs: messages(2, () => keyValue),
  more: boolean(3),
  count: number(4),
};

export const putRequest: Schema<kv.PutRequest> = {
  key: bytes(1),
  value: bytes(2),
  lease: int64(3),
  prevKv: boolean(4),
  ignoreValue: boolean(5),
  ignoreLease: boolean(6),
};

export const putResponse: Schema<kv.PutResponse> = {
  header: always(1, () => header),
  prevKv: message(2, () => keyValue),
};

export const deleteRangeRequest: Schema<kv.DeleteRangeRequest> = {
  key: bytes(1),
  rangeEnd: bytes(2),
  prevKv: boolean(3),
};

export const deleteRangeResponse: Schema<kv.DeleteRangeResponse> = {
  header: always(1, () => header),
  deleted: number(2),
  prevKvs: messages(3, () => keyValue),
};

export const compare: Schema<kv.Compare> = {
  result: number(1),
  target: number(2),
  key: bytes(3),
  version: number(4),
  createRevision: number(5),
  modRevision: number(6),
  value: bytes(7),
  lease: int64(8),
  rangeEnd: bytes(64),
};

export const requestOp: Schema<kv.RequestOp> = {
  range: message(1, () => rangeRequest),
  put: message(2, () => putRequest),
  deleteRange: message(3, () => deleteRangeRequest),
  txn: message(4, () => txnRequest),
};

export const txnRequest: Schema<kv.TxnRequest> = {
  compare: messages(1, () => compare),
  success: messages(2, () => requestOp),
  failure: messages(3, () => requestOp),
};

export const responseOp: Schema<kv.ResponseOp> = {
  range: message(1, () => rangeResponse),
  put: message(2, () => putResponse),
  deleteRange: message(3, () => deleteRangeResponse),
  txn: message(4, () => txnResponse),
};

export const txnResponse: Schema<kv.TxnResponse> = {
  header: always(1, () => header),
  succeeded: boolean(2),
  responses: messages(3, () => responseOp),
};

export const compactionRequest: Schema<kv.CompactionRequest> = { revision: number(1), physical: boolean(2) };
