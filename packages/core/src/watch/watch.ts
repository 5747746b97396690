import type { Header, KeyValue, WatchEvent, WatchResponse } from "../etcd/types.js";
import { invalidArgument } from "../kit/errors.js";
import { inRange, type KeyRange } from "./key-range.js";

/**
 * So many revisions at most does etcd put in one message of what a watch has missed; the next comes a tenth of a second
 * later, or more. Source: `watchBatchMaxRevs` in watcher_group.go of etcd's package mvcc.
 */
const PIECE_REVISIONS = 1_000;

/** Why a watch cannot go on from where it stands: its owner has to list again. */
export type Gap =
  /** The next revision is compacted. */
  | "compacted"
  /** A message exceeded the receive limit, and would again. */
  | "too-large"
  /** What is to be delivered does not get through the link, and would not the next time. */
  | "too-slow"
  /** The stream broke its own rules (see `Violation`): what it delivered cannot be trusted to be all. */
  | "corrupt";

/** A rule of etcd's watch streams that was broken. */
export type Violation =
  /** Revisions ran backwards within a message. */
  | "out-of-order"
  /** One key twice at one revision. */
  | "duplicate"
  /** An event of a key that is not watched: etcd's grpc-proxy numbers watches by itself. */
  | "foreign-key"
  /** Something else came between the fragments of one message. */
  | "broken-fragments"
  /** A message for a watch that the stream does not carry. */
  | "unknown-watch"
  /** Events that were delivered before. */
  | "stale"
  /** Progress to below what was delivered: a member that lags, or was wiped; a read tells which. */
  | "backward-progress"
  /** An event that does not fit to what is known: a delete of what is not there. */
  | "contradiction";

/** What a watch tells its owner, synchronously from the socket's read. */
export interface WatchSink {
  /** The watch stands on a member; also after each interruption. */
  onCreated(header: Header): void;
  /**
   * What had happened when the watch was created has been delivered: its revision is reached, or nothing
   * more came before a later sign of life. Once for each `onCreated()`, unless it is interrupted before.
   */
  onCaughtUp(): void;
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
  /** Events came that were delivered before; they were dropped. Old servers may replay (etcd #15271, #20221). */
  onStale(): void;
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
  /** Counts a broken rule. */
  violated(violation: Violation): void;
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
  /** On the hub's stream of the moment. @internal */
  id = -1;
  /** Streams in a row that fell silent after `created`, with nothing delivered since. @internal */
  stalls = 0;
  readonly #hub: WatchCarrier;
  readonly #sink: WatchSink;
  #revision: number;
  /** What etcd had reached at the creation, as long as more of it may be on its way. */
  #catchUpTo: number | undefined;
  /** Of a message that is not complete, and the header that all its parts show. */
  #fragments: { readonly events: WatchEvent[]; readonly revision: number } | undefined;

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

  /** Whether something may have happened before the creation that was not delivered yet. @internal */
  get isCatchingUp(): boolean {
    return this.#catchUpTo !== undefined;
  }

  /** Ends the watch; nothing is delivered any more. */
  [Symbol.dispose](): void {
    this.#hub.delete(this);
  }

  /** @internal */
  created(header: Header): void {
    if (this.#fragments) this.#corrupt("broken-fragments");
    else if (header.revision < this.#revision) this.#sink.onBehind(header.revision);
    else {
      this.#catchUpTo = header.revision;
      this.#sink.onCreated(header);
      this.#checkCaughtUp();
    }
  }

  /** A sign of life has come that was asked for long after the creation, and after a full piece. @internal */
  caughtUp(): void {
    if (this.#catchUpTo === undefined) return;
    this.#catchUpTo = undefined;
    this.#sink.onCaughtUp();
  }

  /** @returns whether it was as much as etcd sends at once of what was missed: more may follow. @internal */
  receive({ header, fragment, events }: WatchResponse): boolean {
    const pending = this.#fragments;
    if (!fragment && !pending) {
      if (events.length > 0) return this.#deliver(events);
      this.#progress(header.revision);
      return false;
    }
    if (events.length === 0 || (pending && pending.revision !== header.revision)) {
      this.#corrupt("broken-fragments");
      return false;
    }
    const whole = pending ?? { events: [], revision: header.revision };
    for (const event of events) whole.events.push(event);
    this.#fragments = fragment ? whole : undefined;
    return fragment ? false : this.#deliver(whole.events);
  }

  /** @internal */
  interrupted(error: unknown): void {
    this.#fragments = undefined;
    this.#catchUpTo = undefined;
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
    if (revision < this.#revision) {
      this.#hub.violated("backward-progress");
      this.#sink.onBehind(revision);
    } else if (revision > this.#revision) {
      this.#revision = revision;
      this.#sink.onProgress(revision);
      this.#checkCaughtUp();
    }
  }

  #checkCaughtUp(): void {
    if (this.#catchUpTo !== undefined && this.#revision >= this.#catchUpTo) this.caughtUp();
  }

  #deliver(events: readonly WatchEvent[]): boolean {
    const violation = findViolation(events, this.range);
    if (violation) {
      this.#corrupt(violation);
      return false;
    }
    const isPiece = this.isCatchingUp && revisionsOf(events) >= PIECE_REVISIONS;
    const first = events[0]?.kv.modRevision ?? 0;
    let news = events;
    if (first <= this.#revision) {
      news = events.filter(({ kv }) => kv.modRevision > this.#revision);
      this.#hub.violated("stale");
      this.#sink.onStale();
    }
    const last = news.at(-1);
    if (!last) return isPiece;
    this.#revision = last.kv.modRevision;
    this.#sink.onEvents(news, this.#revision);
    this.#checkCaughtUp();
    return isPiece;
  }

  #corrupt(violation: Violation): void {
    this.#hub.delete(this);
    this.#hub.violated(violation);
    this.#sink.onGap("corrupt");
  }
}

/** How many revisions there are in events that are in their order. */
function revisionsOf(events: readonly WatchEvent[]): number {
  let count = 0;
  let last = 0;
  for (const { kv } of events) {
    if (kv.modRevision !== last) count += 1;
    last = kv.modRevision;
  }
  return count;
}

function findViolation(events: readonly WatchEvent[], range: KeyRange): Violation | undefined {
  let last: KeyValue | undefined;
  for (const { kv } of events) {
    if (last && kv.modRevision < last.modRevision) return "out-of-order";
    if (last?.modRevision === kv.modRevision && Buffer.compare(kv.key, last.key) === 0) return "duplicate";
    if (!inRange(kv.key, range)) return "foreign-key";
    last = kv;
  }
  return undefined;
}
