import type { KeyValue, WatchEvent } from "@sd/core";
import { type Event, type WatchCreateRequest, WatchFilter } from "./api/watch.js";
import type { EventLog } from "./event-log.js";
import { isInRange, type KeyRange, keyRange, keyText } from "./keys.js";

/** Revisions in one batch of a watch that catches up: etcd's `watchBatchMaxRevs`. */
const BATCH_REVISIONS = 1000;

/** One watch of a stream: what it wants, and how far it is. */
export class Watcher {
  readonly id: bigint;
  readonly range: KeyRange;
  readonly startRevision: number;
  readonly prevKv: boolean;
  readonly fragment: boolean;
  readonly progressNotify: boolean;
  readonly #filters: readonly number[];
  /** The next revision to deliver. */
  next: number;
  /** Whether live changes are delivered as they happen; else the watch is catching up. */
  synced: boolean;
  /** Canceled as compacted. Its id stays taken until the client cancels it too. */
  isCompacted = false;
  /** Whether nothing was delivered since the last tick of progress. */
  isQuiet = true;

  constructor(id: bigint, range: KeyRange, request: WatchCreateRequest, revision: number) {
    const { startRevision } = request;
    this.id = id;
    this.range = range;
    this.startRevision = startRevision;
    this.prevKv = request.prevKv;
    this.fragment = request.fragment;
    this.progressNotify = request.progressNotify;
    this.#filters = request.filters;
    this.synced = startRevision > revision || startRevision === 0;
    this.next = this.synced ? Math.max(startRevision, revision + 1) : startRevision;
  }

  /** Which of the changes are in its range. */
  covers({ kv }: WatchEvent): boolean {
    return isInRange(this.range, keyText(kv.key));
  }

  /** Those that it has not asked to be spared of. */
  filtered(events: readonly WatchEvent[]): readonly WatchEvent[] {
    const refused = this.#filters.map((filter) => filterTypes[filter]);
    return refused.length === 0 ? events : events.filter(({ type }) => !refused.includes(type));
  }

  /** The next batch of history. Filters come later: a batch may turn out to be empty. */
  takeBatch(log: EventLog, revision: number, isLost: (event: WatchEvent) => boolean): WatchEvent[] {
    const events: WatchEvent[] = [];
    let revisions = 0;
    let last = 0;
    let next = revision + 1;
    for (const event of log.from(this.next)) {
      if (isLost(event) || !this.covers(event)) continue;
      const { modRevision } = event.kv;
      if (modRevision !== last && revisions === BATCH_REVISIONS) {
        next = modRevision;
        break;
      }
      if (modRevision !== last) revisions += 1;
      last = modRevision;
      events.push(event);
    }
    this.next = next;
    this.synced = next > revision;
    return events;
  }
}

const filterTypes: Readonly<Record<number, WatchEvent["type"]>> = {
  [WatchFilter.noPut]: "put",
  [WatchFilter.noDelete]: "delete",
};

/** The range of a request; `undefined` if it is empty. No key means the smallest one. */
export function watchedRange({ key, rangeEnd }: WatchCreateRequest): KeyRange | undefined {
  const range = keyRange(key.length === 0 ? Uint8Array.of(0) : key, rangeEnd);
  return range.to !== undefined && range.to <= range.from ? undefined : range;
}

/** A change with what the key held before, if it held anything that is not compacted. */
export function withPrevious(event: WatchEvent, previous: KeyValue | undefined): Event {
  return previous ? { ...event, prevKv: previous } : event;
}
