import type { KeyValue, Position } from "@sd/core";

/** What a key held at a revision: since `held`, or nothing if that is `undefined`. */
export interface Known {
  readonly revision: number;
  readonly held: number | undefined;
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
