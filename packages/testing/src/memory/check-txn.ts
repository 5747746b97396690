import type { DeleteRangeRequest, PutRequest, RequestOp, TxnRequest } from "./api/kv.js";
import { type KeyText, keyText } from "./keys.js";
import { checkRange } from "./range.js";
import { refusal } from "./refusals.js";

/** etcd's default `--max-txn-ops`. */
const MAX_OPERATIONS = 128;

/** @throws SdError as etcd does, for a malformed put. */
export function checkPut({ key, value, lease, ignoreValue, ignoreLease }: PutRequest): void {
  if (key.length === 0) throw refusal("emptyKey");
  if (ignoreValue && value.length > 0) throw refusal("valueProvided");
  if (ignoreLease && lease !== 0n) throw refusal("leaseProvided");
}

/** @throws SdError as etcd does, for a malformed deletion. */
export function checkDelete({ key }: DeleteRangeRequest): void {
  if (key.length === 0) throw refusal("emptyKey");
}

/**
 * Checks all of a transaction, whichever branches would run.
 *
 * @throws SdError as etcd does, and in its order: what is malformed first, then keys given twice.
 */
export function checkTxn(request: TxnRequest): void {
  checkShape(request, MAX_OPERATIONS);
  keysOf(request.success);
  keysOf(request.failure);
}

/** An inner transaction may hold as many operations as the outer one has left over. */
function checkShape({ compare, success, failure }: TxnRequest, allowed: number): void {
  const operations = Math.max(compare.length, success.length, failure.length);
  if (operations > allowed) throw refusal("tooManyOperations");
  if (compare.some(({ key }) => key.length === 0)) throw refusal("emptyKey");
  for (const operation of [...success, ...failure]) checkOperation(operation, allowed - operations);
}

function checkOperation({ range, put, deleteRange, txn }: RequestOp, allowed: number): void {
  if (range) checkRange(range);
  else if (put) checkPut(put);
  else if (deleteRange) checkDelete(deleteRange);
  else if (txn) checkShape(txn, allowed);
  else throw refusal("keyNotFound");
}

/** `to` empty: without end. */
interface Interval {
  readonly from: KeyText;
  readonly to: KeyText;
}

interface Keys {
  readonly puts: Set<KeyText>;
  readonly deletes: Interval[];
}

/**
 * No key may be put twice, nor put and deleted; but in the two branches of one inner transaction, as only one
 * of them runs.
 *
 * etcd takes the end `\0` literally here, so a deletion of everything from a key on hits no put.
 */
function keysOf(operations: readonly RequestOp[]): Keys {
  const puts = new Set<KeyText>();
  const deletes = operations.flatMap(({ deleteRange }) => (deleteRange ? [intervalOf(deleteRange)] : []));
  const add = (key: KeyText): void => {
    if (puts.has(key) || deletes.some((interval) => covers(interval, key))) throw refusal("duplicateKey");
    puts.add(key);
  };
  for (const { txn } of operations) {
    if (!txn) continue;
    const success = keysOf(txn.success);
    const failure = keysOf(txn.failure);
    for (const key of success.puts) add(key);
    for (const key of failure.puts) if (!success.puts.has(key)) add(key);
    deletes.push(...success.deletes, ...failure.deletes);
  }
  for (const { put } of operations) if (put) add(keyText(put.key));
  return { puts, deletes };
}

function intervalOf({ key, rangeEnd }: DeleteRangeRequest): Interval {
  const from = keyText(key);
  return { from, to: rangeEnd.length === 0 ? `${from}\0` : keyText(rangeEnd) };
}

function covers({ from, to }: Interval, key: KeyText): boolean {
  return key >= from && key < to;
}
