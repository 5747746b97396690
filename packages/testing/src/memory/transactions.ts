import {
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  EMPTY,
  type PutRequest,
  type PutResponse,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
  type TxnResponse,
} from "./api/kv.js";
import { holds } from "./compare.js";
import { keyRange, keyText } from "./keys.js";
import type { Leases } from "./leases.js";
import { innerHeader, runRange } from "./range.js";
import { refusal } from "./refusals.js";
import type { View, Writer } from "./store.js";

/** Which branch of a transaction runs, and of each within that branch. */
interface Path {
  readonly succeeded: boolean;
  readonly operations: readonly RequestOp[];
  /** By the place of the inner transaction in `operations`. */
  readonly inner: ReadonlyMap<number, Path>;
}

/** All conditions look at the store as it was before the first write, those of inner transactions too. */
export function choosePath(view: View, { compare, success, failure }: TxnRequest): Path {
  const succeeded = compare.every((each) => holds(view, each));
  const operations = succeeded ? success : failure;
  const inner = new Map<number, Path>();
  operations.forEach(({ txn }, index) => {
    if (txn) inner.set(index, choosePath(view, txn));
  });
  return { succeeded, operations, inner };
}

/** @throws SdError as etcd does, for what the chosen branches cannot do: then nothing of it is done. */
export function checkPath(view: View, leases: Leases, path: Path): void {
  const operations = [...chosen(path)];
  for (const { put } of operations) if (put) checkPutNow(view, leases, put);
  for (const { range } of operations) if (range) checkRevision(view, range.revision);
}

/** What will run, in its order. */
function* chosen({ operations, inner }: Path): Generator<RequestOp> {
  for (const [index, operation] of operations.entries()) {
    const path = inner.get(index);
    if (path) yield* chosen(path);
    else yield operation;
  }
}

function checkPutNow(view: View, leases: Leases, { key, lease, ignoreValue, ignoreLease }: PutRequest): void {
  if ((ignoreValue || ignoreLease) && view.read({ range: keyRange(key) }).count === 0) {
    throw refusal("keyNotFound");
  }
  if (lease !== 0n && !leases.has(lease)) throw refusal("leaseNotFound");
}

/** Unlike a range alone, one in a transaction may not ask for a revision below 0. */
function checkRevision(view: View, revision: number): void {
  if (revision === 0) return;
  if (revision > view.revision) throw refusal("futureRevision");
  if (revision < view.compactRevision) throw refusal("compacted");
}

/** Runs the chosen branches. The header of an inner transaction is empty. */
export function runPath(writer: Writer, { succeeded, operations, inner }: Path): TxnResponse {
  const responses = operations.map(({ range, put, deleteRange }, index): ResponseOp => {
    if (range) return { range: runRange(writer, range) };
    if (put) return { put: runPut(writer, put) };
    if (deleteRange) return { deleteRange: runDelete(writer, deleteRange) };
    const path = inner.get(index);
    return path ? { txn: runPath(writer, path) } : {};
  });
  return { header: innerHeader(0), succeeded, responses };
}

/** @throws SdError as etcd does, if it is to keep something of a key that is not there. */
export function runPut(writer: Writer, request: PutRequest): PutResponse {
  const { key, prevKv, ignoreValue, ignoreLease } = request;
  // Most puts ask for nothing of it: not to look saves a quarter of what a put costs.
  const isAsked = prevKv || ignoreValue || ignoreLease;
  const previous = isAsked ? writer.read({ range: keyRange(key) }).kvs[0] : undefined;
  if ((ignoreValue || ignoreLease) && !previous) throw refusal("keyNotFound");
  const value = ignoreValue ? (previous?.value ?? EMPTY) : request.value;
  const lease = ignoreLease ? (previous?.lease ?? 0n) : request.lease;
  writer.put(keyText(key), value, lease);
  return { header: innerHeader(writer.revision), prevKv: prevKv ? previous : undefined };
}

/** Deletes a key or a range. */
export function runDelete(
  writer: Writer,
  { key, rangeEnd, prevKv }: DeleteRangeRequest,
): DeleteRangeResponse {
  const range = keyRange(key, rangeEnd);
  const prevKvs = prevKv ? writer.read({ range }).kvs : [];
  const deleted = writer.delete(range);
  return { header: innerHeader(writer.revision), deleted, prevKvs };
}

/** Whether etcd's quota counts it: puts of either branch do, those of inner transactions do not. */
export function costsSpace({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].some(({ put }) => put !== undefined);
}

/** Whether it can only read, whichever branch runs. Inner transactions count as writes. */
export function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ range }) => range !== undefined);
}
