import type { KeyValue } from "@sd/core";

/** What a key held at a revision: since `held`, or nothing if that is `undefined`. */
export interface Known {
  readonly revision: number;
  readonly held: number | undefined;
}

/** Gets what a key holds since `revision`, `undefined` if it is gone: of several changes only the outcome. */
export type OnChange = (current: KeyValue | undefined, revision: number) => void;

/** Watches over a key until it is closed. */
export interface Guard {
  close(): Promise<void>;
}
