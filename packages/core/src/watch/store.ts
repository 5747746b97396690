import type { KeyValue, WatchEvent } from "../etcd/types.js";

/** Where in etcd's life a store stands. */
export interface Position {
  /** The store holds exactly what etcd held at this revision. */
  readonly revision: number;
  /** One unbroken history of one cluster; grows when etcd was wiped, restored or exchanged. */
  readonly epoch: number;
}

/** A complete content on its way to a store, of which nothing shows before `replace()`. */
export interface Draft {
  /** The next part, in the order of the keys. */
  take(kvs: readonly KeyValue[]): void;
  /** All parts are here: as the store's `replace()`. */
  replace(): void;
}

/**
 * What a reflector fills. Called synchronously; must not throw.
 *
 * Between two calls the store is a true state of etcd. Nothing is called after the reflector's `close()`.
 */
export interface Store {
  /** How many keys of etcd it holds, those included that it cannot read. */
  readonly size: number;
  /** The modification revision of `key` as it is held; `undefined` if it is not. */
  revisionOf(key: Uint8Array): number | undefined;
  /**
   * Whether `kv` is what is held for its key: of the same revision, and under the same lease. A wiped etcd may
   * come to the same revisions again, but hardly to the same leases. Optional: without it, the revision decides.
   */
  isHeld?(kv: KeyValue): boolean;
  /**
   * Begins a list that comes in parts, and will be the complete content at `position`. Optional: with it, the
   * work is done in slices, between which the event loop goes round, and no more than a slice is held twice.
   * Without it, `replace()` gets all at once. Several may be begun; those that break off are just dropped.
   *
   * In the epoch of what is held, a key that comes with the revision that is held is what is held. In another
   * epoch, revisions may be equal by chance.
   */
  draft?(position: Position): Draft;
  /** The complete content at `position`. Whatever the store holds besides is gone from etcd. */
  replace(kvs: readonly KeyValue[], position: Position): void;
  /**
   * Changes in order, leading to exactly `position`; to be shown all at once.
   *
   * @returns `false` if one contradicts what is held, and was passed over: a delete of a key that is not
   *   held, or a put that is no newer than what is.
   */
  apply(events: readonly WatchEvent[], position: Position): boolean;
  /** Nothing has changed up to `position`. */
  bookmark(position: Position): void;
}
