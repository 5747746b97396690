import type { Compare, Operation, RangeRequest, TxnRequest } from "@sd/core";
import { type KeyText, keyText } from "./keys.js";
import type { Leases } from "./leases.js";
import { refusal } from "./refusals.js";
import type { RangeResult, Store } from "./store.js";

/** etcd's default `--max-txn-ops`. */
const MAX_OPERATIONS = 128;

/** What a transaction did. */
export interface TxnResult {
  readonly succeeded: boolean;
  readonly ranges: readonly RangeResult[];
}

/**
 * Runs a transaction: all of one branch as one revision, or nothing.
 *
 * @throws SdError as etcd does: a malformed request (of either branch), an unknown lease or a revision that
 *   cannot be read (of the branch that would run).
 */
export function runTransaction(store: Store, leases: Leases, request: TxnRequest): TxnResult {
  check(request);
  const succeeded = request.compare.every((compare) => holds(store, compare));
  const operations = succeeded ? request.success : request.failure;
  for (const operation of operations) {
    if (operation.type === "put" && operation.lease !== 0n && !leases.has(operation.lease)) {
      throw refusal("leaseNotFound");
    }
    if (operation.type === "range") store.checkRevision(operation.range.revision ?? 0);
  }
  const ranges = store.write((writer) => {
    const results: RangeResult[] = [];
    for (const operation of operations) {
      if (operation.type === "put") writer.put(keyText(operation.key), operation.value, operation.lease);
      else if (operation.type === "delete") writer.delete(keyText(operation.key));
      else results.push(writer.range(operation.range));
    }
    return results;
  });
  return { succeeded, ranges };
}

/** @throws SdError if the request has no key. */
export function checkRange({ key }: RangeRequest): void {
  if (key.length === 0) throw refusal("emptyKey");
}

function check({ compare, success, failure }: TxnRequest): void {
  if (Math.max(compare.length, success.length, failure.length) > MAX_OPERATIONS) {
    throw refusal("tooManyOperations");
  }
  if (compare.some(({ key }) => key.length === 0)) throw refusal("emptyKey");
  for (const branch of [success, failure]) {
    for (const operation of branch) checkRange(operation.type === "range" ? operation.range : operation);
  }
  for (const branch of [success, failure]) checkDuplicates(branch);
}

/** No key may be put twice, nor put and deleted. */
function checkDuplicates(branch: readonly Operation[]): void {
  const put = new Set<KeyText>();
  const deleted = new Set<KeyText>();
  for (const operation of branch) {
    if (operation.type === "range") continue;
    const key = keyText(operation.key);
    if (operation.type === "delete") {
      deleted.add(key);
    } else {
      if (put.has(key)) throw refusal("duplicateKey");
      put.add(key);
    }
  }
  for (const key of put) if (deleted.has(key)) throw refusal("duplicateKey");
}

/** A key that does not exist has revisions and lease 0. */
function holds(store: Store, compare: Compare): boolean {
  const kv = store.get(keyText(compare.key));
  switch (compare.target) {
    case "create":
      return (kv?.createRevision ?? 0) === compare.equals;
    case "mod":
      return (kv?.modRevision ?? 0) === compare.equals;
    case "lease":
      return (kv?.lease ?? 0n) === compare.equals;
  }
}
