import { type FailureKind, failureOf } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { RangeRequest, RangeResponse } from "../etcd/types.js";
import { type Anchor, type History, type HistoryBreak, isAnchor, isSameCluster } from "./history.js";
import type { KeyRange } from "./key-range.js";
import { keyAfter } from "./list.js";
import type { StoreView } from "./store-view.js";

/** What a comparison of a store with etcd has found; the store has to be listed again. */
export type Finding =
  | HistoryBreak
  /** The history is the same, as far as can be seen, and something was lost on the way. */
  | "lost-change";

export interface Comparison {
  readonly transport: EtcdTransport;
  readonly range: KeyRange;
  readonly history: History;
  /** The store at the history's revision. */
  readonly view: StoreView;
  readonly signal: AbortSignal;
}

/** Without values, decoded and compared in some milliseconds. */
const PAGE_KEYS = 5_000;
/** On a slow link. */
const LEAST_PAGE_KEYS = 100;

/**
 * Compares every key of the range, its modification revision and its lease, in pages.
 *
 * At "seen" the comparison is exact: etcd is read at the view's own revision. At "now" a difference may also
 * be a change that is still on its way.
 *
 * @throws as the transport does; SdError `SD_COMPACTED` if that revision is compacted, `SD_INVARIANT` as
 *   `keyAfter()`.
 */
export async function compareAll(
  { transport, range, history, view, signal }: Comparison,
  when: "seen" | "now",
): Promise<Finding | undefined> {
  let limit = PAGE_KEYS;
  let revision = when === "seen" ? view.revision : undefined;
  let keys = 0;
  for (let { key } = range; ; ) {
    const request = { ...range, key, limit, keysOnly: true, ...(revision !== undefined && { revision }) };
    let page: RangeResponse;
    try {
      page = await transport.range(request, { signal });
    } catch (error) {
      if (isBehind(error)) return "lower-revision";
      if (limit === LEAST_PAGE_KEYS || !isOfItsSize(error)) throw error;
      limit = Math.max(LEAST_PAGE_KEYS, limit >> 2);
      continue;
    }
    const sign = breakIn(history, page);
    if (sign) return sign;
    for (const kv of page.kvs) {
      if (!view.isHeld(kv)) return kv.modRevision <= view.revision ? "another-past" : "lost-change";
    }
    keys += page.kvs.length;
    const following = keyAfter(page, key);
    if (!following) return keys === view.size ? undefined : "lost-change";
    revision ??= page.header.revision;
    key = following;
  }
}

/**
 * Two cheap reads: whether a put that we have seen is still part of etcd's past, and whether the number of
 * keys was right at the view's revision. Of what is compacted, nothing can be said.
 *
 * Two reads, not one transaction: etcd's transactions read the past inconsistently (etcd #18667).
 *
 * @returns "compacted" if the number of keys cannot be told any more, and nothing else was found.
 */
export async function compareAnchor(
  comparison: Comparison,
  anchor: Anchor | undefined,
): Promise<Finding | "compacted" | undefined> {
  const { range, view } = comparison;
  const [past, seen] = await Promise.all([
    anchor && readPast(comparison, { key: anchor.key, revision: anchor.modRevision, keysOnly: true }),
    readPast(comparison, { ...range, revision: view.revision, countOnly: true }),
  ]);
  if (typeof past === "string" && past !== "compacted") return past;
  if (anchor && typeof past === "object" && !isAnchor(anchor, past.kvs[0])) return "another-past";
  if (typeof seen === "string") return seen;
  return seen.count === view.size ? undefined : "lost-change";
}

/**
 * Counts the keys that are there now. A difference is believed only if it remains when all that was on its way
 * has arrived: both sides are counted at the revision of the answer.
 *
 * @param arrival resolves when what etcd had committed before has arrived.
 */
export async function compareCount(
  comparison: Comparison,
  arrival: () => Promise<void>,
): Promise<Finding | undefined> {
  const { range, view } = comparison;
  const now = await readPast(comparison, { ...range, countOnly: true });
  if (typeof now === "string") return now === "compacted" ? undefined : now;
  const isRight = (): boolean => now.count === view.sizeAt(now.header.revision);
  if (isRight()) return undefined;
  await arrival();
  return isRight() ? undefined : "lost-change";
}

async function readPast(
  { transport, history, signal }: Comparison,
  request: RangeRequest,
): Promise<RangeResponse | HistoryBreak | "compacted"> {
  try {
    const response = await transport.range(request, { signal });
    return breakIn(history, response) ?? response;
  } catch (error) {
    if (isBehind(error)) return "lower-revision";
    if (failureOf(error) === "compacted") return "compacted";
    throw error;
  }
}

function breakIn(history: History, { header }: RangeResponse): HistoryBreak | undefined {
  if (!isSameCluster(history, header)) return "another-cluster";
  return header.revision < history.position.revision ? "lower-revision" : undefined;
}

/** etcd has not come to the revision that was asked for. */
function isBehind(error: unknown): boolean {
  return failureOf(error) === "future-revision";
}

function isOfItsSize(error: unknown): boolean {
  const kind: FailureKind | undefined = failureOf(error);
  return kind === "timeout" || kind === "too-large";
}
