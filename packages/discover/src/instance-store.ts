import {
  type Draft,
  decodeUtf8,
  type KeyValue,
  type Position,
  publish,
  type Store,
  type WatchEvent,
} from "@sd/core";
import type { Change, Keyed } from "./change.js";
import { KeyMap } from "./key-map.js";
import { keyId, printableKey, type Rejection } from "./rejection.js";

/** An entry, and what its last write is told by. */
export interface Written extends Keyed {
  /** 0n: the key has no lease. */
  readonly leaseId: bigint;
}

/** Makes an entry from what etcd holds; `key` is its key as text. @throws if the value or the key cannot be read. */
export type ReadEntry<T> = (kv: KeyValue, key: string | undefined) => T;

/** Whether `count` entries, which go at once and leave `left`, are to stay until `release()`. */
export type Holds = (count: number, left: number) => boolean;

export interface InstanceStoreOptions {
  /** Whether what is missing in a new epoch stays until `release()`. Default: no. */
  readonly retains?: boolean;
  /** Asked when entries go within an epoch. Default: none is held. */
  readonly holds?: Holds | undefined;
  /** Whether the changes are of use to anybody: of a first list of many, they take time. Default: they are. */
  readonly isHeard?: () => boolean;
}

/** All keys of a prefix: those that can be read, those that cannot, and which of these are not told yet. */
class Content<T extends Written> {
  readonly held = new KeyMap<T>();
  unreported: Rejection[] = [];
  // Made for the first: of a thousand discoveries few have any, and a map is 200 bytes.
  #retained: Set<string> | undefined;
  #rejected: Map<string, Rejection> | undefined;

  /** Of those that are held, which etcd does not hold: they are of the epoch before, or went with too many. */
  get retained(): ReadonlySet<string> {
    return this.#retained ?? nobody;
  }

  get rejected(): ReadonlyMap<string, Rejection> {
    return this.#rejected ?? nothing;
  }

  has(id: string): boolean {
    return this.held.has(id) || this.rejected.has(id);
  }

  /** What etcd holds. */
  get(id: string): T | Rejection | undefined {
    if (this.retained.size > 0 && this.retained.has(id)) return undefined;
    return this.held.get(id) ?? this.rejected.get(id);
  }

  revisionOf(id: string): number | undefined {
    return this.get(id)?.modRevision;
  }

  retain(id: string): void {
    this.#retained ??= new Set();
    this.#retained.add(id);
  }

  reject(id: string, rejection: Rejection): void {
    this.#rejected ??= new Map();
    this.#rejected.set(id, rejection);
  }

  /** Of what was retained. */
  release(id: string): void {
    this.#retained?.delete(id);
  }

  /** Of what was rejected. */
  forgive(id: string): void {
    this.#rejected?.delete(id);
  }
}

const nobody: ReadonlySet<string> = new Set();
const nothing: ReadonlyMap<string, Rejection> = new Map();

/**
 * The entries of a prefix, kept by a reflector.
 *
 * A value that cannot be read is left out and reported; it affects no other. Keys are told apart by their
 * bytes, also those that are not UTF-8. What a message left out is reported after its changes were told, so
 * that who hears of it never sees half of a transaction.
 */
export class InstanceStore<T extends Written> implements Store {
  readonly #read: ReadEntry<T>;
  readonly #onChanges: (changes: readonly Change<T>[], position: Position) => void;
  readonly #retains: boolean;
  readonly #holds: Holds | undefined;
  readonly #isHeard: () => boolean;
  #content = new Content<T>();
  #epoch = 1;
  /** Before the first list. */
  #isEmpty = true;

  /** @param onChanges called with all changes of a message or list; with none for a first list that is unheard. */
  constructor(
    read: ReadEntry<T>,
    onChanges: (changes: readonly Change<T>[], position: Position) => void,
    { retains = false, holds, isHeard = () => true }: InstanceStoreOptions = {},
  ) {
    this.#read = read;
    this.#onChanges = onChanges;
    this.#retains = retains;
    this.#holds = holds;
    this.#isHeard = isHeard;
  }

  get size(): number {
    const { held, retained, rejected } = this.#content;
    return held.size - retained.size + rejected.size;
  }

  /** Whether it shows what etcd does not hold now. */
  get isRetaining(): boolean {
    return this.#content.retained.size > 0;
  }

  /** The keys of entries that etcd does not hold now: a copy. */
  get retained(): ReadonlySet<string> {
    const { held, retained } = this.#content;
    return new Set(Array.from(retained, (id) => (held.get(id) as T).key));
  }

  revisionOf(key: Uint8Array): number | undefined {
    return this.#content.revisionOf(keyId(key));
  }

  isHeld({ key, modRevision, lease }: KeyValue): boolean {
    const known = this.#content.get(keyId(key));
    return known?.modRevision === modRevision && known.leaseId === lease;
  }

  /** A new array of all entries. */
  entries(): T[] {
    return this.#content.held.values();
  }

  /** Why keys are left out, by `printableKey()`: a copy. */
  get rejected(): ReadonlyMap<string, unknown> {
    return new Map(Array.from(this.#content.rejected.values(), ({ key, error }) => [key, error]));
  }

  draft(position: Position): Draft {
    const content = new Content<T>();
    const isNewEpoch = position.epoch > this.#epoch;
    // Revisions of another epoch may be equal by chance: everything is read anew.
    const known = isNewEpoch ? new Content<T>() : this.#content;
    return {
      take: (kvs) => {
        for (const kv of kvs) {
          const id = keyId(kv.key);
          if (known.revisionOf(id) === kv.modRevision) carryOver(id, known, content);
          else {
            const entry = this.#readInto(content, id, kv);
            if (entry !== undefined) content.held.set(id, entry);
          }
        }
      },
      replace: () => {
        retain(this.#content, content, isNewEpoch ? this.#retains : this.#isHeldBack(content));
        const isUnheard = this.#isEmpty && !this.#isHeard();
        const changes = isUnheard ? [] : difference(this.#content, content, position.revision);
        this.#isEmpty = false;
        this.#content = content;
        this.#epoch = position.epoch;
        this.#tell(changes, position);
      },
    };
  }

  replace(kvs: readonly KeyValue[], position: Position): void {
    const draft = this.draft(position);
    draft.take(kvs);
    draft.replace();
  }

  apply(events: readonly WatchEvent[], position: Position): boolean {
    const changes: Change<T>[] = [];
    let isConsistent = true;
    const isHeldBack = this.#isHeldBack(events);
    for (const { type, kv } of events) {
      const id = keyId(kv.key);
      const known = this.#content.revisionOf(id);
      const isNews = type === "put" ? known === undefined || known < kv.modRevision : known !== undefined;
      if (!isNews) isConsistent = false;
      else if (type === "put") this.#put(id, kv, changes);
      else if (isHeldBack && this.#content.held.has(id)) this.#content.retain(id);
      else this.#delete(id, kv.modRevision, changes);
    }
    this.#tell(changes, position);
    return isConsistent;
  }

  /** Lets go of what is retained. */
  release(position: Position): void {
    const changes: Change<T>[] = [];
    for (const id of this.#content.retained) this.#delete(id, position.revision, changes);
    this.#tell(changes, position);
  }

  bookmark(position: Position): void {
    this.#onChanges([], position);
  }

  /** Whether what goes with `news`, a message or a list of the same epoch, is too much at once. */
  #isHeldBack(news: readonly WatchEvent[] | Content<T>): boolean {
    if (!this.#holds) return false;
    const { held, retained } = this.#content;
    const going =
      news instanceof Content
        ? held.keys().filter((id) => !retained.has(id) && !news.has(id))
        : deletesOf(news).filter((id) => !retained.has(id) && held.has(id));
    const after = news instanceof Content ? news.held.size : held.size - retained.size - going.length;
    return going.length > 0 && this.#holds(going.length, after);
  }

  #tell(changes: readonly Change<T>[], position: Position): void {
    const rejections = this.#content.unreported;
    if (rejections.length > 0) this.#content.unreported = [];
    this.#onChanges(changes, position);
    for (const { key, error } of rejections) {
      publish("sd:instance:rejected", () => ({ key, error }));
    }
  }

  #put(id: string, kv: KeyValue, changes: Change<T>[]): void {
    const { held } = this.#content;
    const entry = this.#readInto(this.#content, id, kv);
    if (entry === undefined) {
      this.#forget(id, kv.modRevision, changes);
      return;
    }
    const previous = held.get(id);
    this.#content.forgive(id);
    this.#content.release(id);
    held.set(id, entry);
    changes.push(putChange(entry, previous));
  }

  #delete(id: string, revision: number, changes: Change<T>[]): void {
    this.#content.forgive(id);
    this.#forget(id, revision, changes);
  }

  #forget(id: string, revision: number, changes: Change<T>[]): void {
    const { held } = this.#content;
    const instance = held.get(id);
    if (instance === undefined) return;
    held.delete(id);
    this.#content.release(id);
    changes.push({ type: "removed", instance, revision });
  }

  /** The entry, or `undefined` if it cannot be read, which is noted. */
  #readInto(content: Content<T>, id: string, kv: KeyValue): T | undefined {
    try {
      // Nearly every key is ASCII, and then its id is its text: one string less to keep for each entry.
      return this.#read(kv, ascii.test(id) ? id : decodeUtf8(kv.key));
    } catch (error) {
      const { modRevision, lease: leaseId } = kv;
      const rejection = { key: printableKey(kv.key), modRevision, leaseId, error };
      content.reject(id, rejection);
      content.unreported.push(rejection);
      return undefined;
    }
  }
}

const ascii = /^[ -~]*$/;

/** What has not changed is kept as it is, and told of no more. */
function carryOver<T extends Written>(id: string, { held, rejected }: Content<T>, next: Content<T>): void {
  const entry = held.get(id);
  if (entry !== undefined) next.held.set(id, entry);
  else next.reject(id, rejected.get(id) as Rejection);
}

/** Keeps in `next` what has been retained and is still missing, and in a new epoch `all` that is missing. */
function retain<T extends Written>({ held, retained }: Content<T>, next: Content<T>, all: boolean): void {
  for (const id of all ? held.keys() : retained) {
    if (next.has(id)) continue;
    next.held.set(id, held.get(id) as T);
    next.retain(id);
  }
}

/** Each key once. */
function deletesOf(events: readonly WatchEvent[]): string[] {
  const deletes = events.filter(({ type }) => type === "delete");
  return [...new Set(deletes.map(({ kv }) => keyId(kv.key)))];
}

/** What leads from one content to another, of `revision`. */
function difference<T extends Written>(
  { held }: Content<T>,
  next: Content<T>,
  revision: number,
): Change<T>[] {
  // The first list: nothing has to be looked up.
  if (held.size === 0) return next.held.values().map((instance) => putChange(instance, undefined));
  const changes: Change<T>[] = [];
  let kept = 0;
  for (const [id, instance] of next.held) {
    const previous = held.get(id);
    if (previous !== undefined) kept += 1;
    if (previous !== instance) changes.push(putChange(instance, previous));
  }
  if (kept === held.size) return changes;
  for (const [id, instance] of held) {
    if (next.held.has(id)) continue;
    // What can be read no more is gone since its last write.
    const goneAt = next.rejected.get(id)?.modRevision ?? revision;
    changes.push({ type: "removed", instance, revision: goneAt });
  }
  return changes;
}

function putChange<T>(instance: T, previous: T | undefined): Change<T> {
  return previous === undefined ? { type: "added", instance } : { type: "updated", instance, previous };
}
