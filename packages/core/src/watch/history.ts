import type { Header, KeyValue, WatchEvent } from "../etcd/types.js";
import type { Slice } from "./list.js";
import type { Position, Store } from "./store.js";

/** One unbroken history of etcd, as far as it was seen: a value. */
export interface History {
  readonly position: Position;
  /** `undefined` until etcd has told. */
  readonly clusterId: bigint | undefined;
  /** The newest put that was seen. In this history its key shows it, at its revision, for ever. */
  readonly anchor: Anchor | undefined;
}

export interface Anchor {
  /** A copy of its own. */
  readonly key: Uint8Array;
  readonly modRevision: number;
  /** A wiped etcd may come to the same revisions again, but hardly to the same leases. */
  readonly lease: bigint;
}

/** How it shows that etcd's history is not the one that was seen. */
export type HistoryBreak =
  /** Another cluster answers. */
  | "another-cluster"
  /** etcd has not reached the revision that it has shown: wiped, or restored. */
  | "lower-revision"
  /** At a revision that was seen, etcd now shows something else: wiped, and grown beyond it since. */
  | "another-past";

/** Whether `header` is of the cluster that was seen, or does not tell: etcd's grpc-proxy leaves it out. */
export function isSameCluster({ clusterId }: History, header: Header): boolean {
  return clusterId === undefined || header.clusterId === 0n || clusterId === header.clusterId;
}

/** The id of the cluster, once it was told. */
export function clusterOf(history: History | undefined, header: Header): bigint | undefined {
  return header.clusterId === 0n ? history?.clusterId : header.clusterId;
}

/**
 * Looks for a break between what was seen and a part of a list.
 *
 * In one history, whatever etcd lists with a modification revision up to ours is what we hold. (What is
 * missing from the list says nothing: it was deleted since.)
 */
export function findBreak(
  history: History,
  { kvs, header }: Slice,
  store: Pick<Store, "revisionOf" | "isHeld">,
): HistoryBreak | undefined {
  const { revision } = history.position;
  if (!isSameCluster(history, header)) return "another-cluster";
  if (header.revision < revision) return "lower-revision";
  const isOther = kvs.some((kv) => kv.modRevision <= revision && !isHeld(store, kv));
  return isOther ? "another-past" : undefined;
}

/** Whether `kv` is what the store holds for its key, as far as the store can tell. */
export function isHeld(store: Pick<Store, "revisionOf" | "isHeld">, kv: KeyValue): boolean {
  return store.isHeld ? store.isHeld(kv) : store.revisionOf(kv.key) === kv.modRevision;
}

export function anchorOf({ key, modRevision, lease }: KeyValue): Anchor {
  // What etcd sent is a view of its whole message, and would keep it alive.
  return { key: new Uint8Array(key), modRevision, lease };
}

/** Whether `kv`, read at the anchor's revision, is what was seen there. */
export function isAnchor({ modRevision, lease }: Anchor, kv: KeyValue | undefined): boolean {
  return kv !== undefined && kv.modRevision === modRevision && kv.lease === lease;
}

/** The anchor that a complete list gives; of its parts each goes on from that of the one before. */
export function newestOf(kvs: readonly KeyValue[], before?: Anchor): Anchor | undefined {
  let newest: KeyValue | undefined;
  let revision = before?.modRevision ?? 0;
  for (const kv of kvs) {
    if (kv.modRevision <= revision) continue;
    newest = kv;
    revision = kv.modRevision;
  }
  return newest ? anchorOf(newest) : before;
}

/** The last put among events in order. */
export function newestPut(events: readonly WatchEvent[]): KeyValue | undefined {
  return events.findLast(({ type }) => type === "put")?.kv;
}
