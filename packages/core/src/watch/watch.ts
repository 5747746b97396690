import type { Header, WatchEvent, WatchResponse } from "../etcd/types.js";
import { invalidArgument } from "../kit/errors.js";
import { inRange, type KeyRange } from "./key-range.js";

/** Why a watch cannot go on from where it stands: its owner has to list again. */
export type Gap =
  /** The next revision is compacted. */
  | "compacted"
  /** A message exceeded the receive limit, and would again. */
  | "too-large"
  /** What is to be delivered does not get through the link, and would not the next time. */
  | "too-slow"
  /** The stream's own rules were broken: events out of order, or of keys that are not watched. */
  | "corrupt";

/** What a watch tells its owner, synchronously from the socket's read. */
export interface WatchSink {
  /** The watch stands on a member; also after each interruption. */
  onCreated(): void;
  /**
   * The member's store is older than what was delivered: it lags, or its history is another one. etcd
   * accepts a watch of the future and is silent, so only a read can tell which.
   */
  onBehind(revision: number): void;
  /**
   * Everything that happened in (the revision before, `revision`], in order: each event once, a revision
   * never in parts. One call for each message of etcd, so it may hold several revisions.
   */
  onEvents(events: readonly WatchEvent[], revision: number): void;
  /** Nothing happened up to `revision`. */
  onProgress(revision: number): void;
  /** No stream at the moment; the hub is at work, nothing will be lost. */
  onInterrupted(error: unknown): void;
  /** The watch has ended: something may be missed. Called at most once, and nothing after it. */
  onGap(gap: Gap): void;
  /** The watch has ended: etcd refused it. Called at most once, and nothing after it. */
  onRefused(error: unknown): void;
}

/** What carries watches over streams: the hub. */
export interface WatchCarrier {
  add(watch: Watch): void;
  delete(watch: Watch): void;
}

/**
 * One watch over all its streams: it knows from where to resume.
 *
 * The resume point moves only with what was delivered, or with a progress notification for this watch:
 * never with the header of "created" or of a message with events, which show the store's newest revision
 * while older events are still to come.
 */
export class Watch implements Disposable {
  readonly range: KeyRange;
  /** On the hub's streams. @internal */
  id = 0;
  /** Streams in a row that fell silent after `created`, with nothing delivered since. @internal */
  stalls = 0;
  readonly #hub: WatchCarrier;
  readonly #sink: WatchSink;
  #revision: number;
  #fragments: WatchEvent[] = [];

  /**
   * @param revision everything up to here is known already; the watch begins after it.
   * @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a revision.
   */
  constructor(hub: WatchCarrier, range: KeyRange, revision: number, sink: WatchSink) {
    if (!Number.isSafeInteger(revision) || revision < 0 || revision === Number.MAX_SAFE_INTEGER) {
      throw invalidArgument("revision", "a revision of etcd, or 0", revision);
    }
    this.#hub = hub;
    this.range = range;
    this.#revision = revision;
    this.#sink = sink;
    hub.add(this);
  }

  /** Everything up to here was delivered. */
  get revision(): number {
    return this.#revision;
  }

  /** The first revision that a new stream has to deliver. */
  get nextRevision(): number {
    return this.#revision + 1;
  }

  /** Ends the watch; nothing is delivered any more. */
  [Symbol.dispose](): void {
    this.#hub.delete(this);
  }

  /** @internal */
  created(header: Header): void {
    if (header.revision < this.#revision) this.#sink.onBehind(header.revision);
    else this.#sink.onCreated();
  }

  /** @internal */
  receive(response: WatchResponse): void {
    if (response.events.length === 0 && !response.fragment && this.#fragments.length === 0) {
      this.#progress(response.header.revision);
      return;
    }
    let events = response.events;
    if (response.fragment || this.#fragments.length > 0) {
      for (const event of response.events) this.#fragments.push(event);
      if (response.fragment) return;
      events = this.#fragments;
      this.#fragments = [];
    }
    this.#deliver(events);
  }

  /** @internal */
  interrupted(error: unknown): void {
    this.#fragments = [];
    this.#sink.onInterrupted(error);
  }

  /** @internal the hub has already let go */
  endsWithGap(gap: Gap): void {
    this.#sink.onGap(gap);
  }

  /** @internal the hub has already let go */
  refused(error: unknown): void {
    this.#sink.onRefused(error);
  }

  #progress(revision: number): void {
    if (revision === 0) return;
    if (revision < this.#revision) this.#sink.onBehind(revision);
    else if (revision > this.#revision) {
      this.#revision = revision;
      this.#sink.onProgress(revision);
    }
  }

  #deliver(events: readonly WatchEvent[]): void {
    let last = 0;
    for (const { kv } of events) {
      // A foreign key means that ids were mixed up: etcd's grpc-proxy numbers watches by itself.
      if (kv.modRevision < last || !inRange(kv.key, this.range)) {
        this.#hub.delete(this);
        this.#sink.onGap("corrupt");
        return;
      }
      last = kv.modRevision;
    }
    // Old servers may replay what was delivered already (etcd #15271, #20221): only news pass.
    const first = events[0]?.kv.modRevision ?? 0;
    const news = first > this.#revision ? events : events.filter(({ kv }) => kv.modRevision > this.#revision);
    if (news.length === 0) return;
    this.#revision = last;
    this.#sink.onEvents(news, last);
  }
}
