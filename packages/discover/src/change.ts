import type { Position, Queue } from "@sd/core";

/** One change of one instance. */
export type Change<T> =
  | { readonly type: "added"; readonly instance: T }
  | { readonly type: "updated"; readonly instance: T; readonly previous: T }
  /** `instance` as it was last known; gone since `revision` at the latest. */
  | { readonly type: "removed"; readonly instance: T; readonly revision: number };

/**
 * What is called for each message of etcd that changed something, and the position that it led to. Without
 * changes if only the epoch is new, or if the first list is empty.
 */
export type ChangeListener<T> = (changes: readonly Change<T>[], position: Position) => void;

/** What every entry of a discovery has: the key tells which one it is. */
export interface Keyed {
  /** The key in etcd, as text. */
  readonly key: string;
  /** The revision of the last write to it. */
  readonly modRevision: number;
}

/** What has happened to a key since its reader has read of it. */
interface Unread<T> {
  /** What the reader knows; `undefined`: nothing. */
  readonly known: T | undefined;
  readonly last: Change<T>;
}

/**
 * Keeps the changes that a slow reader has not read, at most one for each key: what has happened between
 * what the reader knows and now. In the order of the last change of each key.
 */
export class ChangeQueue<T extends Keyed> implements Queue<Change<T>> {
  readonly #unread = new Map<string, Unread<T>>();

  put(change: Change<T>): void {
    const { key } = change.instance;
    const unread = this.#unread.get(key);
    const known = unread ? unread.known : knownBefore(change);
    this.#unread.delete(key);
    // Come and gone before it was read of: there is nothing to tell.
    if (known === undefined && change.type === "removed") return;
    this.#unread.set(key, { known, last: change });
  }

  take(): Change<T> | undefined {
    for (const [key, { known, last }] of this.#unread) {
      this.#unread.delete(key);
      if (last.type === "removed") return last;
      const { instance } = last;
      return known === undefined
        ? { type: "added", instance }
        : { type: "updated", instance, previous: known };
    }
    return undefined;
  }

  clear(): void {
    this.#unread.clear();
  }
}

function knownBefore<T>(change: Change<T>): T | undefined {
  switch (change.type) {
    case "added":
      return undefined;
    case "updated":
      return change.previous;
    case "removed":
      return change.instance;
  }
}
