import type { Clock, Header, Timer, WatchEvent } from "@sd/core";
import type { WatchCreateRequest, WatchRequest, WatchResponse } from "./api/watch.js";
import type { Behaviour } from "./behaviour.js";
import { fragments } from "./fragments.js";
import { keyRange } from "./keys.js";
import type { Store } from "./store.js";
import { Watcher, watchedRange, withPrevious } from "./watcher.js";

/** What a watch stream needs of its server. */
export interface WatchHost {
  readonly store: Store;
  readonly clock: Clock;
  readonly behaviour: Behaviour;
  /** How long a watch that starts in the past waits for each batch. */
  readonly catchUpDelayMs: number;
  /** How often a quiet watch is told the revision, if it has asked for that. */
  readonly progressIntervalMs: number;
  header(revision?: number): Header;
}

/** Belongs to no watch: answers to progress requests, and to refused ones. */
const NO_WATCH = -1n;

/**
 * etcd's end of one watch stream.
 *
 * Messages go to `emit`, in order; the changes of one revision are in one message, or in its fragments.
 */
export class WatchServer {
  readonly #host: WatchHost;
  readonly #emit: (response: WatchResponse) => void;
  readonly #refusal: (request: WatchCreateRequest) => string | undefined;
  readonly #watchers = new Map<bigint, Watcher>();
  readonly #subscription: Disposable;
  #nextId = 0n;
  /** Nothing is delivered: the client does not read. */
  #isBehind = false;
  #catchUpTimer: Timer | undefined;
  #progressTimer: Timer | undefined;

  /** @param refusal why a watch is not permitted; `undefined` if it is. */
  constructor(
    host: WatchHost,
    emit: (response: WatchResponse) => void,
    refusal: (request: WatchCreateRequest) => string | undefined,
  ) {
    this.#host = host;
    this.#emit = emit;
    this.#refusal = refusal;
    this.#subscription = host.store.log.subscribe((revision, events) => this.#publish(revision, events));
  }

  receive({ create, cancel, progress }: WatchRequest): void {
    if (create) this.#create(create);
    else if (cancel) this.#cancel(cancel.watchId);
    else if (progress) this.#progress();
  }

  /** Stops delivering: from now on its watches fall behind the store, as etcd's do if a client does not read. */
  fallBehind(): void {
    this.#isBehind = true;
  }

  /** Goes on where it stopped, if that is not compacted. */
  catchUp(): void {
    this.#isBehind = false;
    if ([...this.#watchers.values()].some(isBehind)) this.#scheduleCatchUp();
  }

  close(): void {
    this.#subscription[Symbol.dispose]();
    this.#catchUpTimer?.[Symbol.dispose]();
    this.#progressTimer?.[Symbol.dispose]();
    this.#watchers.clear();
  }

  #create(request: WatchCreateRequest): void {
    const { store, behaviour } = this.#host;
    const range = watchedRange(request);
    const problem = this.#problem(request, range === undefined);
    if (problem !== undefined || range === undefined) {
      this.#send({ watchId: NO_WATCH, created: true, canceled: true, cancelReason: problem ?? "" });
      return;
    }
    const id = request.watchId === 0n ? this.#freeId() : request.watchId;
    const watcher = new Watcher(id, range, request, store.revision);
    if (watcher.synced && request.startRevision !== 0 && behaviour.replaysHistory) {
      watcher.synced = false;
      watcher.next = Math.max(1, store.compactRevision);
    }
    this.#watchers.set(id, watcher);
    this.#send({ watchId: id, created: true });
    if (!watcher.synced) this.#scheduleCatchUp();
    if (request.progressNotify) this.#scheduleProgress();
  }

  #problem(request: WatchCreateRequest, isEmpty: boolean): string | undefined {
    const { startRevision, watchId } = request;
    if (startRevision < 0 && this.#host.behaviour.refusesNegativeStart) {
      return "etcdserver: mvcc: required revision has been compacted";
    }
    const denial = this.#refusal(request);
    if (denial !== undefined) return denial;
    if (isEmpty) return "mvcc: watcher range is empty";
    if (watchId !== 0n && this.#watchers.has(watchId))
      return "mvcc: duplicate watch ID provided on the WatchStream";
    return undefined;
  }

  #freeId(): bigint {
    while (this.#watchers.has(this.#nextId)) this.#nextId += 1n;
    return this.#nextId++;
  }

  #cancel(id: bigint): void {
    if (this.#watchers.delete(id)) this.#send({ watchId: id, canceled: true });
  }

  #progress(): void {
    const { behaviour, store } = this.#host;
    const watchers = [...this.#watchers.values()];
    const isInStep = watchers.length > 0 && watchers.every(({ synced }) => synced);
    const isReached = watchers.every(({ startRevision }) => startRevision <= store.revision);
    const answers = {
      "at-once": true,
      "in-step": isInStep,
      reached: isInStep && isReached,
    } satisfies Record<Behaviour["progress"], boolean>;
    if (answers[behaviour.progress]) this.#send({ watchId: NO_WATCH });
  }

  #publish(revision: number, events: readonly WatchEvent[]): void {
    for (const watcher of this.#watchers.values()) {
      if (!watcher.synced || revision < watcher.next) continue;
      if (this.#isBehind) {
        watcher.next = revision;
        watcher.synced = false;
        continue;
      }
      watcher.next = revision + 1;
      this.#deliver(
        watcher,
        events.filter((event) => watcher.covers(event)),
        revision,
      );
    }
  }

  #scheduleCatchUp(): void {
    this.#catchUpTimer ??= this.#host.clock.setTimer(this.#host.catchUpDelayMs, () => {
      this.#catchUpTimer = undefined;
      for (const watcher of [...this.#watchers.values()]) {
        if (this.#isBehind) return;
        if (isBehind(watcher)) this.#catchUp(watcher);
      }
      if ([...this.#watchers.values()].some(isBehind)) this.#scheduleCatchUp();
    });
  }

  #catchUp(watcher: Watcher): void {
    const { store, behaviour } = this.#host;
    const { compactRevision, revision } = store;
    if (watcher.next < compactRevision) {
      watcher.isCompacted = true;
      // After a compaction at 0, a start below it is not even called canceled.
      this.#send({ watchId: watcher.id, canceled: compactRevision !== 0, compactRevision }, 0);
      return;
    }
    const isLost = ({ type, kv }: WatchEvent): boolean =>
      behaviour.losesDeletes && type === "delete" && kv.modRevision <= compactRevision;
    this.#deliver(watcher, watcher.takeBatch(store.log, revision, isLost), revision);
  }

  /** Sends what passes the filters, if anything does. */
  #deliver(watcher: Watcher, changes: readonly WatchEvent[], revision: number): void {
    const events = watcher.filtered(changes);
    if (events.length === 0) return;
    watcher.isQuiet = false;
    const seen = watcher.prevKv ? events.map((event) => withPrevious(event, this.#before(event))) : events;
    const response = this.#response({ watchId: watcher.id, events: seen }, revision);
    for (const part of watcher.fragment ? fragments(response) : [response]) this.#emit(part);
  }

  #before({ kv }: WatchEvent) {
    const { store } = this.#host;
    const revision = kv.modRevision - 1;
    if (revision < store.compactRevision || revision < 1) return undefined;
    return store.read({ range: keyRange(kv.key), revision }).kvs[0];
  }

  #scheduleProgress(): void {
    this.#progressTimer ??= this.#host.clock.setTimer(this.#host.progressIntervalMs, () => {
      this.#progressTimer = undefined;
      const watchers = [...this.#watchers.values()].filter(({ progressNotify }) => progressNotify);
      for (const watcher of watchers) {
        if (watcher.isQuiet && watcher.synced) this.#send({ watchId: watcher.id });
        watcher.isQuiet = true;
      }
      if (watchers.length > 0) this.#scheduleProgress();
    });
  }

  #send(part: Partial<WatchResponse> & { readonly watchId: bigint }, revision?: number): void {
    this.#emit(this.#response(part, revision));
  }

  #response(part: Partial<WatchResponse> & { readonly watchId: bigint }, revision?: number): WatchResponse {
    return {
      header: this.#host.header(revision),
      created: false,
      canceled: false,
      compactRevision: 0,
      cancelReason: "",
      fragment: false,
      events: [],
      ...part,
    };
  }
}

/** Whether there is history to deliver yet. */
function isBehind({ synced, isCompacted }: Watcher): boolean {
  return !synced && !isCompacted;
}
