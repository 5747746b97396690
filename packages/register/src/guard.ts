import type { KeyValue, Position } from "@sd/core";

/** What tells one write of a key from another, also of another history of etcd. */
export type Write = Pick<KeyValue, "modRevision" | "lease">;

/** What a key held at a revision, or nothing if that is `undefined`. */
export interface Known {
  readonly revision: number;
  readonly held: Write | undefined;
}

export function isSameWrite(one: Write | undefined, other: Write): boolean {
  return one?.modRevision === other.modRevision && one.lease === other.lease;
}

/**
 * Gets what a key holds since a revision, `undefined` if it is gone: of several changes only the outcome. What was
 * known is of the epoch 1.
 */
export type OnChange = (current: KeyValue | undefined, position: Position) => void;

/** Watches over a key until it is closed. */
export interface Guard {
  close(): Promise<void>;
}
