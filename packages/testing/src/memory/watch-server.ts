import type { Clock, Header, Timer, WatchEvent, WatchRequest, WatchResponse } from "@sd/core";
import { isInRange, type KeyRange, keyRange, keyText } from "./keys.js";
import type { Store } from "./store.js";

/** What a watch stream needs of its server. */
export interface WatchHost {
  readonly store: Store;
  readonly clock: Clock;
  /** How long a watch that starts in the past waits for each batch. */
  readonly catchUpDelayMs: number;
  /** Answers a progress request at once, as etcd did before 3.4.25 and 3.5.8. */
  readonly progressAheadOfEvents: boolean;
  header(revision?: number): Header;
}

interface Watch {
  readonly id: number;
  readonly range: KeyRange;
  /** The next revision to deliver. */
  next: number;
  /** Whether live changes are delivered as they happen; else the watch is catching up. */
  synced: boolean;
}

/** Revisions in one batch of a watch that catches up: etcd's `watchBatchMaxRevs`. */
const BATCH_REVISIONS = 1000;

/**
 * etcd's end of one watch stream.
 *
 * Messages go to `emit`, in order; the changes of one revision are in one message.
 */
export class WatchServer {
  readonly #host: WatchHost;
  readonly #emit: (response: WatchResponse) => void;
  readonly #watches = new Map<number, Watch>();
  readonly #subscription: Disposable;
  #catchUpTimer: Timer | undefined;

  constructor(host: WatchHost, emit: (response: WatchResponse) => void) {
    this.#host = host;
    this.#emit = emit;
    this.#subscription = host.store.subscribe((revision, events) => this.#publish(revision, events));
  }

  /** How many watches are open. */
  get size(): number {
    return this.#watches.size;
  }

  receive(request: WatchRequest): void {
    if (request.type === "create") this.#create(request);
    else if (request.type === "cancel") this.#cancel(request.watchId);
    else this.#progress();
  }

  close(): void {
    this.#subscription[Symbol.dispose]();
    this.#catchUpTimer?.[Symbol.dispose]();
    this.#watches.clear();
  }

  #create(request: WatchRequest & { readonly type: "create" }): void {
    const { watchId: id, key, rangeEnd, startRevision } = request;
    const range = keyRange(key.length === 0 ? Uint8Array.of(0) : key, rangeEnd);
    const problem = this.#problem(id, range);
    if (problem) {
      this.#send({ watchId: -1, created: true, canceled: true, cancelReason: problem });
      return;
    }
    const { revision } = this.#host.store;
    const synced = startRevision > revision || startRevision <= 0;
    this.#watches.set(id, {
      id,
      range,
      next: synced ? Math.max(startRevision, revision + 1) : startRevision,
      synced,
    });
    this.#send({ watchId: id, created: true });
    if (!synced) this.#scheduleCatchUp();
  }

  #problem(id: number, { from, to }: KeyRange): string | undefined {
    if (to !== undefined && to <= from) return "mvcc: watcher range is empty";
    if (this.#watches.has(id)) return "mvcc: duplicate watch ID provided on the WatchStream";
    return undefined;
  }

  #cancel(id: number): void {
    if (this.#watches.delete(id)) this.#send({ watchId: id, canceled: true });
  }

  /** Says nothing while a watch catches up, nor without watches: as etcd since 3.4.25 and 3.5.8. */
  #progress(): void {
    const watches = [...this.#watches.values()];
    const inStep = watches.length > 0 && watches.every(({ synced }) => synced);
    if (inStep || this.#host.progressAheadOfEvents) this.#send({ watchId: -1 });
  }

  #publish(revision: number, events: readonly WatchEvent[]): void {
    for (const watch of this.#watches.values()) {
      if (!watch.synced || revision < watch.next) continue;
      const wanted = events.filter(({ kv }) => isInRange(watch.range, keyText(kv.key)));
      if (wanted.length > 0) this.#send({ watchId: watch.id, events: wanted }, revision);
      watch.next = revision + 1;
    }
  }

  #scheduleCatchUp(): void {
    this.#catchUpTimer ??= this.#host.clock.setTimer(this.#host.catchUpDelayMs, () => {
      this.#catchUpTimer = undefined;
      for (const watch of [...this.#watches.values()]) if (!watch.synced) this.#catchUp(watch);
      if ([...this.#watches.values()].some(({ synced }) => !synced)) this.#scheduleCatchUp();
    });
  }

  #catchUp(watch: Watch): void {
    const { store } = this.#host;
    if (watch.next < store.compactRevision) {
      this.#watches.delete(watch.id);
      this.#send({ watchId: watch.id, canceled: true, compactRevision: store.compactRevision }, 0);
      return;
    }
    const events: WatchEvent[] = [];
    const revisions = new Set<number>();
    let next = store.revision + 1;
    for (const event of store.eventsFrom(watch.next)) {
      if (!isInRange(watch.range, keyText(event.kv.key))) continue;
      const { modRevision } = event.kv;
      if (!revisions.has(modRevision) && revisions.size === BATCH_REVISIONS) {
        next = modRevision;
        break;
      }
      revisions.add(modRevision);
      events.push(event);
    }
    watch.next = next;
    watch.synced = next > store.revision;
    if (events.length > 0) this.#send({ watchId: watch.id, events });
  }

  #send(part: Partial<WatchResponse> & { readonly watchId: number }, revision?: number): void {
    this.#emit({
      header: this.#host.header(revision),
      created: false,
      canceled: false,
      compactRevision: 0,
      cancelReason: "",
      fragment: false,
      events: [],
      ...part,
    });
  }
}
