import type { KeyValue, WatchEvent } from "../etcd/types.js";

/** Where in etcd's life a store stands. */
export interface Position {
  /** The store holds exactly what etcd held at this revision. */
  readonly revision: number;
  /** One unbroken history of one cluster; grows when etcd was wiped, restored or exchanged. */
  readonly epoch: number;
}

/**
 * What a reflector fills. Called synchronously; must not throw.
 *
 * Between two calls the store is a true state of etcd. Nothing is called after the reflector's `close()`.
 */
export interface Store {
  /** The complete content at `position`. Whatever the store holds besides is gone from etcd. */
  replace(kvs: readonly KeyValue[], position: Position): void;
  /** Changes in order, leading to exactly `position`; to be shown all at once. */
  apply(events: readonly WatchEvent[], position: Position): void;
  /** Nothing has changed up to `position`. */
  bookmark(position: Position): void;
}
