import {
  decodeUtf8,
  escapeControl,
  type KeyValue,
  type Position,
  publish,
  type Store,
  type WatchEvent,
} from "@sd/core";
import type { Change, Keyed } from "./change.js";

/** Makes an entry from what etcd holds. @throws if the value or the key cannot be read. */
export type ReadEntry<T> = (kv: KeyValue) => T;

/** A key that is left out. */
interface Rejection {
  /** See `printableKey()`. */
  readonly key: string;
  readonly modRevision: number;
  readonly error: unknown;
}

interface Held<T> {
  readonly modRevision: number;
  readonly entry: T;
}

/**
 * The entries of a prefix, kept by a reflector.
 *
 * A value that cannot be read is left out and reported; it affects no other. Keys are told apart by their
 * bytes, also those that are not UTF-8. What a message left out is reported after its changes were told, so
 * that who hears of it never sees half of a transaction.
 */
export class InstanceStore<T extends Keyed> implements Store {
  readonly #read: ReadEntry<T>;
  readonly #onChanges: (changes: readonly Change<T>[], position: Position) => void;
  readonly #held = new Map<string, Held<T>>();
  readonly #rejected = new Map<string, Rejection>();
  /** Not reported yet. */
  readonly #unreported: Rejection[] = [];
  readonly #retains: boolean;
  /** Of those that are held, which etcd does not hold: they are of the epoch before. */
  readonly #retained = new Set<string>();
  #epoch = 1;

  /** @param retains whether what is missing in a new epoch stays until `release()`. */
  constructor(
    read: ReadEntry<T>,
    onChanges: (changes: readonly Change<T>[], position: Position) => void,
    retains = false,
  ) {
    this.#read = read;
    this.#onChanges = onChanges;
    this.#retains = retains;
  }

  get size(): number {
    return this.#held.size - this.#retained.size + this.#rejected.size;
  }

  /** The keys of entries of the epoch before that etcd does not hold now: a copy. */
  get retained(): ReadonlySet<string> {
    return new Set(Array.from(this.#retained, (id) => (this.#held.get(id) as Held<T>).entry.key));
  }

  revisionOf(key: Uint8Array): number | undefined {
    return this.#revisionOf(idOf(key));
  }

  /** A new array of all entries. */
  entries(): T[] {
    return Array.from(this.#held.values(), ({ entry }) => entry);
  }

  /** Why keys are left out, by `printableKey()`: a copy. */
  get rejected(): ReadonlyMap<string, unknown> {
    return new Map(Array.from(this.#rejected.values(), ({ key, error }) => [key, error]));
  }

  replace(kvs: readonly KeyValue[], position: Position): void {
    const changes: Change<T>[] = [];
    const isNewEpoch = position.epoch > this.#epoch;
    const gone = new Set([...this.#held.keys(), ...this.#rejected.keys()]);
    for (const kv of kvs) {
      const id = idOf(kv.key);
      gone.delete(id);
      // Revisions of another epoch may be equal by chance.
      if (isNewEpoch || this.#revisionOf(id) !== kv.modRevision) this.#put(id, kv, changes);
    }
    for (const id of gone) {
      if (this.#retained.has(id)) continue;
      if (isNewEpoch && this.#retains && this.#held.has(id)) this.#retained.add(id);
      else this.#delete(id, position.revision, changes);
    }
    this.#epoch = position.epoch;
    this.#tell(changes, position);
  }

  apply(events: readonly WatchEvent[], position: Position): boolean {
    const changes: Change<T>[] = [];
    let isConsistent = true;
    for (const { type, kv } of events) {
      const id = idOf(kv.key);
      const known = this.#revisionOf(id);
      const isNews = type === "put" ? known === undefined || known < kv.modRevision : known !== undefined;
      if (!isNews) isConsistent = false;
      else if (type === "put") this.#put(id, kv, changes);
      else this.#delete(id, kv.modRevision, changes);
    }
    this.#tell(changes, position);
    return isConsistent;
  }

  /** Lets go of what is retained. */
  release(position: Position): void {
    const changes: Change<T>[] = [];
    for (const id of this.#retained) this.#delete(id, position.revision, changes);
    this.#tell(changes, position);
  }

  bookmark(position: Position): void {
    this.#onChanges([], position);
  }

  #revisionOf(id: string): number | undefined {
    if (this.#retained.has(id)) return undefined;
    return (this.#held.get(id) ?? this.#rejected.get(id))?.modRevision;
  }

  #tell(changes: readonly Change<T>[], position: Position): void {
    const rejections = this.#unreported.splice(0);
    this.#onChanges(changes, position);
    for (const { key, error } of rejections) {
      publish("sd:instance:rejected", () => ({ key, error }));
    }
  }

  #put(id: string, kv: KeyValue, changes: Change<T>[]): void {
    let entry: T;
    try {
      entry = this.#read(kv);
    } catch (error) {
      this.#delete(id, kv.modRevision, changes);
      const rejection = { key: printableKey(kv.key), modRevision: kv.modRevision, error };
      this.#rejected.set(id, rejection);
      this.#unreported.push(rejection);
      return;
    }
    const previous = this.#held.get(id)?.entry;
    this.#rejected.delete(id);
    this.#retained.delete(id);
    this.#held.set(id, { modRevision: kv.modRevision, entry });
    changes.push(
      previous === undefined
        ? { type: "added", instance: entry }
        : { type: "updated", instance: entry, previous },
    );
  }

  #delete(id: string, revision: number, changes: Change<T>[]): void {
    this.#rejected.delete(id);
    this.#retained.delete(id);
    const held = this.#held.get(id);
    if (!held) return;
    this.#held.delete(id);
    changes.push({ type: "removed", instance: held.entry, revision });
  }
}

/** One character for each byte: different bytes never become the same string, as they can in UTF-8. */
function idOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

/**
 * Shows a key as text on one line, different for different keys: as UTF-8, with control characters escaped
 * (`\u000a`) and backslashes doubled. Of a key that is not UTF-8, each byte above 0x7f is escaped (`\xff`).
 */
function printableKey(key: Uint8Array): string {
  const text = decodeUtf8(key)?.replaceAll("\\", "\\\\");
  if (text !== undefined) return escapeControl(text);
  const bytes = idOf(key).replaceAll("\\", "\\\\");
  return escapeControl(bytes.replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`));
}
