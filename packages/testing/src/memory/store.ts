import type { KeyValue, WatchEvent } from "@sd/core";
import { EMPTY } from "./api/kv.js";
import { EventLog } from "./event-log.js";
import { KeyIndex, versionAt } from "./key-index.js";
import { type KeyRange, type KeyText, keyBytes, keyText } from "./keys.js";
import { refusal } from "./refusals.js";

/** What to read. */
export interface Query {
  readonly range: KeyRange;
  /** 0 or less: now. */
  readonly revision?: number;
  /** 0 or less: all. */
  readonly limit?: number;
  readonly countOnly?: boolean;
}

/** What a range holds at one revision. */
export interface Reading {
  readonly kvs: readonly KeyValue[];
  /** How many keys the range holds, whatever the limit. */
  readonly count: number;
}

/** The store as it is now, or was, for whoever reads it. */
export interface View {
  /** What counts as now. */
  readonly revision: number;
  /** The oldest revision that can be read; -1 before the first compaction. */
  readonly compactRevision: number;
  /** @throws SdError as etcd does, for a revision that is compacted or still to come. */
  read(query: Query): Reading;
}

/** Writes of one revision; each sees those before it. */
export interface Writer extends View {
  put(key: KeyText, value: Uint8Array, lease: bigint): void;
  /** Tells how many keys there were to delete. */
  delete(range: KeyRange): number;
}

/** Told which key is bound to which lease. */
export interface LeaseBinding {
  bind(lease: bigint, key: KeyText): void;
  unbind(lease: bigint, key: KeyText): void;
}

/** How much of the past a store keeps. */
export interface StoreOptions {
  /**
   * Compacts by itself, so that at least as many changes can be watched and at most about twice as many take
   * memory; what is compacted is dropped from the log. Absent: compacts when told to, and logs for ever.
   */
  readonly retainedChanges?: number | undefined;
}

/**
 * Keys with all their versions, as etcd's MVCC store: every write is one revision, of one or more changes.
 *
 * The first revision is 1, that of the empty store. What was compacted can neither be read nor watched.
 */
export class Store implements View {
  readonly log = new EventLog();
  readonly #leases: LeaseBinding;
  readonly #retainedChanges: number | undefined;
  readonly #index = new KeyIndex();
  #revision = 1;
  #compactRevision = -1;

  constructor(leases: LeaseBinding, options: StoreOptions = {}) {
    this.#leases = leases;
    this.#retainedChanges = options.retainedChanges;
  }

  get revision(): number {
    return this.#revision;
  }

  get compactRevision(): number {
    return this.#compactRevision;
  }

  get(key: KeyText): KeyValue | undefined {
    return versionAt(this.#index.get(key)?.versions ?? [], this.#revision);
  }

  read(query: Query): Reading {
    return this.#read(query, this.#revision);
  }

  /** The store as it was: what came later is not there. */
  asOf(revision: number): View {
    return {
      revision,
      compactRevision: this.#compactRevision,
      read: (query) => this.#read(query, revision),
    };
  }

  /** Runs `work` as one revision, all of it or nothing. If it changes nothing, there is no new revision. */
  write<Result>(work: (writer: Writer) => Result): Result {
    const before = this.#revision;
    const events: WatchEvent[] = [];
    try {
      return this.#write(work, before, events);
    } catch (error) {
      for (const { kv } of events.reverse()) this.#undo(keyText(kv.key), kv);
      throw error;
    }
  }

  #write<Result>(work: (writer: Writer) => Result, before: number, events: WatchEvent[]): Result {
    const now = (): number => (events.length > 0 ? before + 1 : before);
    const result = work({
      get revision() {
        return now();
      },
      compactRevision: this.#compactRevision,
      read: (query) => this.#read(query, now()),
      put: (key, value, lease) => void events.push(this.#put(key, value, lease, before + 1)),
      delete: (range) => {
        const deleted = this.#delete(range, now(), before + 1);
        events.push(...deleted);
        return deleted.length;
      },
    });
    if (events.length > 0) {
      this.#revision = before + 1;
      this.log.append(before + 1, events);
      this.#autoCompact();
    }
    return result;
  }

  /** At twice as many changes as are retained, so that each of them pays a share of what a compaction costs. */
  #autoCompact(): void {
    const { all } = this.log;
    if (this.#retainedChanges === undefined || all.length < 2 * this.#retainedChanges) return;
    const oldest = all[all.length - this.#retainedChanges];
    if (oldest && oldest.kv.modRevision > this.#compactRevision) this.compact(oldest.kv.modRevision);
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
    if (this.#retainedChanges !== undefined) this.log.forgetBefore(revision);
    this.#index.prune(({ versions }) => {
      const newer = versions.findIndex(({ modRevision }) => modRevision > revision);
      const kept = newer < 0 ? versions.length - 1 : newer - 1;
      const isTombstone = versions[kept]?.version === 0;
      versions.splice(0, isTombstone ? kept + 1 : Math.max(0, kept));
    });
  }

  #read({ range, revision = 0, limit = 0, countOnly = false }: Query, now: number): Reading {
    if (revision > now) throw refusal("futureRevision");
    const at = revision > 0 ? revision : now;
    if (at < this.#compactRevision) throw refusal("compacted");
    const kvs: KeyValue[] = [];
    let count = 0;
    for (const { versions } of this.#index.within(range)) {
      const kv = versionAt(versions, at);
      if (!kv) continue;
      count += 1;
      if (!countOnly && (limit <= 0 || count <= limit)) kvs.push(kv);
    }
    return { kvs, count };
  }

  #undo(name: KeyText, kv: KeyValue): void {
    const versions = this.#index.get(name)?.versions;
    versions?.pop();
    const previous = versions?.at(-1);
    if (kv.lease) this.#leases.unbind(kv.lease, name);
    if (previous?.lease) this.#leases.bind(previous.lease, name);
  }

  #put(name: KeyText, value: Uint8Array, lease: bigint, revision: number): WatchEvent {
    const { versions } = this.#index.getOrAdd(name);
    const previous = versionAt(versions, revision);
    if (previous?.lease) this.#leases.unbind(previous.lease, name);
    const kv: KeyValue = {
      key: previous?.key ?? keyBytes(name),
      value: new Uint8Array(value),
      createRevision: previous?.createRevision ?? revision,
      modRevision: revision,
      version: (previous?.version ?? 0) + 1,
      lease,
    };
    if (lease) this.#leases.bind(lease, name);
    versions.push(kv);
    return { type: "put", kv };
  }

  #delete(range: KeyRange, now: number, revision: number): WatchEvent[] {
    const events: WatchEvent[] = [];
    for (const { key: name, versions } of this.#index.within(range)) {
      const previous = versionAt(versions, now);
      if (!previous) continue;
      if (previous.lease) this.#leases.unbind(previous.lease, name);
      const { key } = previous;
      const kv = { key, value: EMPTY, createRevision: 0, modRevision: revision, version: 0, lease: 0n };
      versions.push(kv);
      events.push({ type: "delete", kv });
    }
    return events;
  }
}
