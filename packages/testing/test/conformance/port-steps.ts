import type { Compare, LeaseId, Operation, RangeRequest, TxnRequest, WatchRequest } from "@sd/core";
import { leaseId } from "../../src/index.js";
import type { AlarmRequest } from "../../src/memory/api/cluster.js";
import * as kv from "../../src/memory/api/kv.js";
import type * as watch from "../../src/memory/api/watch.js";
import type { Step } from "./steps.js";

/** One thing that is done through the port, or by an operator besides. */
export type PortStep =
  | { readonly range: RangeRequest }
  | { readonly txn: TxnRequest }
  | { readonly grant: { readonly id: LeaseId; readonly ttlSeconds: number } }
  | { readonly revoke: { readonly id: LeaseId } }
  | { readonly renew: { readonly id: LeaseId } }
  | { readonly watch: WatchRequest }
  | { readonly pause: number }
  | { readonly compact: kv.CompactionRequest }
  | { readonly alarm: AlarmRequest };

/** Puts without a lease are under this one: the port writes no others. */
export const HOUSE_LEASE = leaseId(424_242n);

/** A step in the port's words. What they cannot say is left out; `undefined` if nothing remains. */
export function throughPort(step: Step, revision: number): PortStep | undefined {
  if ("range" in step) return { range: portRange(step.range) };
  if ("put" in step) return { txn: portTxn({ compare: [], success: [step], failure: [] }) };
  if ("deleteRange" in step) return { txn: portTxn({ compare: [], success: [step], failure: [] }) };
  if ("txn" in step) return { txn: portTxn(step.txn) };
  if ("grant" in step) return { grant: { id: leaseId(step.grant.id), ttlSeconds: step.grant.ttl } };
  if ("revoke" in step) return { revoke: { id: leaseId(step.revoke.id) } };
  if ("renew" in step) return { renew: { id: leaseId(step.renew.id) } };
  if ("watch" in step) return portWatch(step.watch, revision);
  if ("compact" in step || "alarm" in step || "pause" in step) return step;
  return undefined;
}

function portRange(request: kv.RangeRequest): RangeRequest {
  const { key, rangeEnd, limit, revision, keysOnly, countOnly } = request;
  return {
    key,
    ...(rangeEnd.length > 0 ? { rangeEnd } : {}),
    ...(limit === 0 ? {} : { limit }),
    ...(revision === 0 ? {} : { revision }),
    keysOnly,
    countOnly,
  };
}

function portTxn({ compare, success, failure }: kv.TxnRequest): TxnRequest {
  return {
    compare: compare.flatMap(portCompare),
    success: success.flatMap(portOperation),
    failure: failure.flatMap(portOperation),
  };
}

function portCompare(given: kv.Compare): Compare[] {
  const { key, target, createRevision, modRevision, lease } = given;
  if (target === kv.CompareTarget.create) return [{ target: "create", key, equals: createRevision }];
  if (target === kv.CompareTarget.mod) return [{ target: "mod", key, equals: modRevision }];
  return target === kv.CompareTarget.lease ? [{ target: "lease", key, equals: lease }] : [];
}

function portOperation({ range, put, deleteRange, txn }: kv.RequestOp): Operation[] {
  if (range) return [{ type: "range", range: portRange(range) }];
  if (deleteRange) return [{ type: "delete", key: deleteRange.key }];
  if (txn) return txn.success.flatMap(portOperation);
  if (!put) return [];
  const { key, value, lease } = put;
  return [{ type: "put", key, value, lease: lease === 0n ? HOUSE_LEASE : leaseId(lease) }];
}

function portWatch({ create, cancel }: watch.WatchRequest, revision: number): PortStep {
  if (create) {
    const { key, rangeEnd, startRevision } = create;
    const request = { key, startRevision: startRevision === 0 ? revision + 1 : startRevision };
    const watchId = Number(create.watchId);
    return { watch: { type: "create", watchId, ...request, ...(rangeEnd.length > 0 ? { rangeEnd } : {}) } };
  }
  return { watch: cancel ? { type: "cancel", watchId: Number(cancel.watchId) } : { type: "progress" } };
}
