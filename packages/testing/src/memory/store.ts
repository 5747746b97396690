import type { KeyValue, RangeRequest, WatchEvent } from "@sd/core";
import { type KeyRange, type KeyText, keyBytes, keyRange } from "./keys.js";
import { refusal } from "./refusals.js";

/** What a range holds at one revision. */
export interface RangeResult {
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  readonly count: number;
  /** The store's revision when it was read. */
  readonly revision: number;
}

/** Writes of one revision; each sees those before it. */
export interface Writer {
  put(key: KeyText, value: Uint8Array, lease: bigint): void;
  /** Tells whether there was something to delete. */
  delete(key: KeyText): boolean;
  range(request: RangeRequest): RangeResult;
}

/** Told which key is bound to which lease. */
export interface LeaseBinding {
  bind(lease: bigint, key: KeyText): void;
  unbind(lease: bigint, key: KeyText): void;
}

const NO_BYTES = new Uint8Array(0);

/**
 * Keys with all their versions, as etcd's MVCC store: every write is one revision, of one or more changes.
 *
 * The first revision is 1, that of the empty store. What was compacted can neither be read nor watched.
 */
export class Store {
  readonly #leases: LeaseBinding;
  readonly #order: KeyText[] = [];
  /** The versions of a key, oldest first; a tombstone has version 0. */
  readonly #versions = new Map<KeyText, KeyValue[]>();
  readonly #events: WatchEvent[] = [];
  readonly #listeners = new Set<(revision: number, events: readonly WatchEvent[]) => void>();
  #revision = 1;
  #compactRevision = 0;

  constructor(leases: LeaseBinding) {
    this.#leases = leases;
  }

  get revision(): number {
    return this.#revision;
  }

  /** The oldest revision that can be read; 0 before the first compaction. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** Every change since the store began, compacted ones included: for oracles. */
  get events(): readonly WatchEvent[] {
    return this.#events;
  }

  /** Calls `listener` after each revision, before anybody is answered. */
  subscribe(listener: (revision: number, events: readonly WatchEvent[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  get(key: KeyText, revision = this.#revision): KeyValue | undefined {
    return versionAt(this.#versions.get(key), revision);
  }

  range(request: RangeRequest): RangeResult {
    return this.#range(request, this.#revision);
  }

  /** @throws SdError as etcd does, for a revision that is compacted or still to come. */
  checkRevision(revision: number): void {
    if (revision > this.#revision) throw refusal("futureRevision");
    if (revision > 0 && revision < this.#compactRevision) throw refusal("compacted");
  }

  /** The changes from `revision` on, oldest first. It must not be compacted. */
  *eventsFrom(revision: number): Generator<WatchEvent> {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle] as WatchEvent).kv.modRevision < revision) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.#events.length; index += 1) yield this.#events[index] as WatchEvent;
  }

  /** Runs `work` as one revision. If it changes nothing, there is no new revision. */
  write<Result>(work: (writer: Writer) => Result): Result {
    const revision = this.#revision + 1;
    const events: WatchEvent[] = [];
    const result = work({
      put: (key, value, lease) => void events.push(this.#put(key, value, lease, revision)),
      delete: (key) => {
        const event = this.#delete(key, revision);
        if (event) events.push(event);
        return event !== undefined;
      },
      range: (request) => this.#range(request, events.length > 0 ? revision : this.#revision),
    });
    if (events.length > 0) {
      this.#revision = revision;
      for (const event of events) this.#events.push(event);
      for (const listener of [...this.#listeners]) listener(revision, events);
    }
    return result;
  }

  /**
   * Forgets what was overwritten or deleted before `revision`.
   *
   * @throws SdError as etcd does, if that is compacted already or still to come.
   */
  compact(revision: number): void {
    if (revision <= this.#compactRevision) throw refusal("compacted");
    if (revision > this.#revision) throw refusal("futureRevision");
    this.#compactRevision = revision;
    for (let index = this.#order.length - 1; index >= 0; index -= 1) {
      const key = this.#order[index] as KeyText;
      const versions = this.#versions.get(key) ?? [];
      const newer = versions.findIndex(({ modRevision }) => modRevision > revision);
      const kept = newer < 0 ? versions.length - 1 : newer - 1;
      const isTombstone = versions[kept]?.version === 0;
      versions.splice(0, isTombstone ? kept + 1 : Math.max(0, kept));
      if (versions.length > 0) continue;
      this.#versions.delete(key);
      this.#order.splice(index, 1);
    }
  }

  #range(request: RangeRequest, current: number): RangeResult {
    const { key, rangeEnd, revision = 0, limit = 0, keysOnly, countOnly } = request;
    if (revision > current) throw refusal("futureRevision");
    const at = revision > 0 ? revision : current;
    if (at < this.#compactRevision) throw refusal("compacted");
    const kvs: KeyValue[] = [];
    let count = 0;
    for (const name of this.#keysIn(keyRange(key, rangeEnd))) {
      const kv = versionAt(this.#versions.get(name), at);
      if (!kv) continue;
      count += 1;
      if (countOnly || (limit > 0 && count > limit)) continue;
      kvs.push(keysOnly ? { ...kv, value: NO_BYTES } : kv);
    }
    return { kvs, more: !countOnly && count > kvs.length, count, revision: current };
  }

  #put(name: KeyText, value: Uint8Array, lease: bigint, revision: number): WatchEvent {
    const previous = versionAt(this.#versions.get(name), revision);
    if (previous?.lease) this.#leases.unbind(previous.lease, name);
    const kv: KeyValue = {
      key: keyBytes(name),
      value: Uint8Array.from(value),
      createRevision: previous?.createRevision ?? revision,
      modRevision: revision,
      version: (previous?.version ?? 0) + 1,
      lease,
    };
    if (lease) this.#leases.bind(lease, name);
    this.#append(name, kv);
    return { type: "put", kv };
  }

  #delete(name: KeyText, revision: number): WatchEvent | undefined {
    const previous = versionAt(this.#versions.get(name), revision);
    if (!previous) return undefined;
    if (previous.lease) this.#leases.unbind(previous.lease, name);
    const kv: KeyValue = {
      key: keyBytes(name),
      value: NO_BYTES,
      createRevision: 0,
      modRevision: revision,
      version: 0,
      lease: 0n,
    };
    this.#append(name, kv);
    return { type: "delete", kv };
  }

  #append(name: KeyText, kv: KeyValue): void {
    const versions = this.#versions.get(name);
    if (versions) {
      versions.push(kv);
      return;
    }
    this.#versions.set(name, [kv]);
    this.#order.splice(this.#indexOf(name), 0, name);
  }

  *#keysIn({ from, to }: KeyRange): Generator<KeyText> {
    for (let index = this.#indexOf(from); index < this.#order.length; index += 1) {
      const key = this.#order[index] as KeyText;
      if (to !== undefined && key >= to) return;
      yield key;
    }
  }

  /** Where `key` is in the order, or would be. */
  #indexOf(key: KeyText): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#order[middle] as KeyText) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The version that was in force at `revision`, unless the key was deleted then. */
function versionAt(versions: readonly KeyValue[] | undefined, revision: number): KeyValue | undefined {
  const kv = versions?.findLast(({ modRevision }) => modRevision <= revision);
  return kv?.version === 0 ? undefined : kv;
}
