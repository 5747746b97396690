import { classify, EtcdFailure, failureError, failureOf } from "../etcd/failure.js";
import { StreamLoop } from "../etcd/stream-loop.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { WatchRequest, WatchResponse } from "../etcd/types.js";
import { publish } from "../kit/channels.js";
import type { Clock, Timer } from "../kit/clock.js";
import { SdError } from "../kit/errors.js";
import type { Random } from "../kit/random.js";
import type { Watch, WatchCarrier } from "./watch.js";

/** A stream without a message for so long is asked for a sign of life (T3). */
const QUIET_MS = 4_500;
/** How long the answer may take, besides the round trip: to a creation, or to the question for a sign of life. */
const ANSWER_MS = 3_000;
/**
 * After so many streams in a row that fell silent once a watch was created, its delivery is given up. Only
 * a complete message is seen to arrive: on a slow link a large one makes the stream look dead, and the next
 * stream would begin to send it anew.
 */
const MAX_STALLS = 2;
/** How long the creation of one watch may take while others on its stream are served. */
const CREATION_MS = 10_000;

/**
 * Carries all watches of a client on one stream.
 *
 * A stream that ends, or that falls silent, is replaced on another member, for ever; each watch is then
 * created anew from its own resume point. A watch leaves the hub only by its owner, by etcd's refusal, or
 * with a gap.
 * The stream exists while there is a watch.
 */
export class WatchHub implements WatchCarrier {
  readonly #clock: Clock;
  readonly #loop: StreamLoop<WatchRequest, WatchResponse>;
  readonly #watches = new Map<number, Watch>();
  /**
   * When each watch was asked for that is not yet answered on this stream, by id, in order. One that was
   * deleted stays: its answer is still to come.
   */
  readonly #uncreated = new Map<number, number>();
  /** The watches that were created on this stream, and for which nothing has come since. */
  readonly #idle = new Set<Watch>();
  #nextId = 1;
  #lifeTimer: Timer | undefined;
  #lifeTimerAt = 0;
  #lastMessageAt = 0;
  /** Whether a message came on this stream. */
  #wasHeard = false;
  #askedAt: number | undefined;
  /** The id of the last question for a sign of life, until it is answered. */
  #probeId: number | undefined;

  constructor(transport: EtcdTransport, clock: Clock, random: Random) {
    this.#clock = clock;
    this.#loop = new StreamLoop({
      clock,
      random,
      open: (handlers, options) => transport.watch(handlers, options),
      isWanted: () => this.#watches.size > 0,
      limits: () => ({ baseMs: 500 }),
      onOpen: () => this.#createAll(),
      onMessage: (response) => this.#receive(response),
      onOver: () => this.#over(),
      onInterrupted: (error) => this.#interrupted(error),
    });
  }

  /** Starts to deliver to `watch`, from its resume point on. After `close()` it is refused. */
  add(watch: Watch): void {
    if (this.#loop.isClosed) {
      queueMicrotask(() => watch.refused(new SdError("SD_CLOSED", "the client is closed")));
      return;
    }
    watch.id = this.#nextId++;
    this.#watches.set(watch.id, watch);
    if (this.#loop.isOpen) this.#create(watch);
    this.#loop.start();
  }

  /** Stops to deliver to `watch`, at once. */
  delete(watch: Watch): void {
    if (!this.#remove(watch)) return;
    if (this.#watches.size === 0) this.#loop.stop();
    else this.#loop.send({ type: "cancel", watchId: watch.id });
  }

  async close(): Promise<void> {
    const closed = this.#loop.close();
    for (const watch of [...this.#watches.values()]) this.delete(watch);
    await closed;
  }

  #createAll(): void {
    this.#wasHeard = false;
    this.#lastMessageAt = this.#clock.now();
    for (const watch of this.#watches.values()) this.#create(watch);
  }

  #over(): void {
    const quietMs = this.#clock.now() - this.#lastMessageAt;
    if (this.#askedAt !== undefined && quietMs >= ANSWER_MS) {
      for (const watch of this.#idle) watch.stalls += 1;
    } else if (this.#wasHeard) this.#loop.succeeded();
    this.#idle.clear();
    this.#uncreated.clear();
    this.#lifeTimer?.[Symbol.dispose]();
    this.#lifeTimer = undefined;
    this.#askedAt = undefined;
    this.#probeId = undefined;
  }

  #interrupted(error: unknown): void {
    publish("sd:watch:interrupted", () => ({ error, watches: this.#watches.size }));
    // A message that cannot be received would break every new stream again: its watches start over.
    const isPoison = failureOf(error) === "too-large";
    for (const watch of [...this.#watches.values()]) {
      if (isPoison) this.#end(watch, () => watch.endsWithGap("too-large"));
      else if (watch.stalls >= MAX_STALLS) this.#end(watch, () => watch.endsWithGap("too-slow"));
      else watch.interrupted(error);
    }
  }

  #create(watch: Watch): void {
    this.#uncreated.set(watch.id, this.#clock.now());
    this.#loop.send({
      type: "create",
      watchId: watch.id,
      ...watch.range,
      startRevision: watch.nextRevision,
    });
    this.#askedAt ??= this.#clock.now();
    this.#watchOverLife();
  }

  /** Asks a quiet stream for a sign of life, and leaves one that does not give it. */
  #watchOverLife(): void {
    if (!this.#loop.isOpen) return;
    const lifeDue =
      this.#askedAt === undefined ? this.#lastMessageAt + QUIET_MS : this.#askedAt + this.#answerMs;
    const due = Math.min(lifeDue, this.#creationDue());
    // A timer that fires too early only arms itself anew.
    if (this.#lifeTimer && this.#lifeTimerAt <= due) return;
    this.#lifeTimer?.[Symbol.dispose]();
    this.#lifeTimerAt = due;
    this.#lifeTimer = this.#clock.setTimer(due - this.#clock.now(), () => {
      this.#lifeTimer = undefined;
      const now = this.#clock.now();
      const isSilent = this.#askedAt !== undefined && now >= this.#askedAt + this.#answerMs;
      if (isSilent || now >= this.#creationDue()) {
        this.#loop.leave(new SdError("SD_UNAVAILABLE", "etcd does not answer on the watch stream"), true);
        return;
      }
      if (this.#askedAt === undefined && now >= this.#lastMessageAt + QUIET_MS) {
        this.#probe(now);
      }
      this.#watchOverLife();
    });
  }

  /**
   * Creates a watch and cancels it, which every member answers. A progress request would be cheaper, but
   * is not answered before the store has reached the first revision of each watch: in a quiet etcd, never.
   */
  #probe(now: number): void {
    const [watch] = this.#watches.values();
    if (!watch) return;
    const watchId = this.#nextId++;
    const { key } = watch.range;
    this.#uncreated.set(watchId, now);
    this.#askedAt = now;
    this.#probeId = watchId;
    this.#loop.send({ type: "create", watchId, key, startRevision: watch.nextRevision });
    this.#loop.send({ type: "cancel", watchId });
  }

  get #answerMs(): number {
    return ANSWER_MS + this.#loop.roundTripMs;
  }

  /** When the oldest creation must have been answered. */
  #creationDue(): number {
    const [oldest = Number.POSITIVE_INFINITY] = this.#uncreated.values();
    return oldest + CREATION_MS;
  }

  #receive(response: WatchResponse): void {
    this.#lastMessageAt = this.#clock.now();
    this.#wasHeard = true;
    // Any message is a sign of life; creations are answered one by one.
    this.#askedAt = undefined;
    const id = this.#idOf(response);
    if (response.created || response.canceled) this.#uncreated.delete(id);
    const watch = this.#watches.get(id);
    this.#noteFlow(watch, id, response);
    if (watch) {
      if (response.canceled) this.#cancel(watch, response);
      else if (response.created) watch.created(response.header);
      else watch.receive(response);
    }
    if (this.#uncreated.size > 0) this.#askedAt ??= this.#lastMessageAt;
  }

  /** Tells a stream that delivers from one on which nothing follows the creation of a watch. */
  #noteFlow(watch: Watch | undefined, id: number, { created, fragment }: WatchResponse): void {
    if (watch && created) {
      this.#idle.add(watch);
      return;
    }
    this.#loop.succeeded();
    // The answer to a probe comes behind all that was on its way before.
    const flowing = id === this.#probeId ? [...this.#idle] : watch && !fragment ? [watch] : [];
    for (const each of flowing) {
      this.#idle.delete(each);
      each.stalls = 0;
    }
  }

  /** A refused creation may come back with the id -1: it answers the oldest request. */
  #idOf({ canceled, watchId }: WatchResponse): number {
    if (!canceled || watchId !== -1) return watchId;
    const [oldest = watchId] = this.#uncreated.keys();
    return oldest;
  }

  #cancel(watch: Watch, response: WatchResponse): void {
    const { compactRevision, cancelReason } = response;
    this.#end(watch, () => {
      if (compactRevision > 0) watch.endsWithGap("compacted");
      else watch.refused(refusal(cancelReason, this.#loop.endpoint));
    });
  }

  /** Takes out a watch that etcd no longer serves, then tells it. */
  #end(watch: Watch, tell: () => void): void {
    this.#remove(watch);
    tell();
    if (this.#watches.size === 0) this.#loop.stop();
  }

  #remove(watch: Watch): boolean {
    if (this.#watches.get(watch.id) !== watch) return false;
    this.#idle.delete(watch);
    return this.#watches.delete(watch.id);
  }
}

/** Reads a cancel reason: free text, or gRPC's `rpc error: code = X desc = ...`. */
function refusal(reason: string, endpoint: string | undefined): SdError {
  const text = reason || "etcd canceled the watch without a reason";
  const where = endpoint === undefined ? {} : { endpoint };
  return failureError(new EtcdFailure(classify(2, text), text, where));
}
