import { classify, EtcdFailure, failureError, failureOf } from "../etcd/failure.js";
import { StreamLoop } from "../etcd/stream-loop.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { WatchRequest, WatchResponse } from "../etcd/types.js";
import { publish } from "../kit/channels.js";
import type { Clock, Timer } from "../kit/clock.js";
import { SdError } from "../kit/errors.js";
import type { Random } from "../kit/random.js";
import { emptyRange } from "./key-range.js";
import type { Violation, Watch, WatchCarrier } from "./watch.js";

/** A stream without a message for so long is asked for a sign of life (T3). */
const QUIET_MS = 2_500;
/** Of the watch that is asked for to be refused. It is no part of the count: a proxy does not count what it refuses. */
const REFUSED_ID = 2 ** 31 - 1;
/** How long the answer may take, besides the round trip: to a creation, or to the question for a sign of life. */
const ANSWER_MS = 3_000;
/**
 * After so many streams in a row that fell silent once a watch was created, its delivery is given up. Only
 * a complete message is seen to arrive: on a slow link a large one makes the stream look dead, and the next
 * stream would begin to send it anew.
 */
const MAX_STALLS = 2;
/**
 * What comes on a stream so long after a creation, or after a full piece of what the watch had missed, comes behind
 * the next piece of it: etcd looks for that every 100 ms. Where more than 512 watches of a member have missed
 * something, etcd takes them in turns, so that it may come before.
 */
const CATCH_UP_MS = 250;
/** So soon it is asked, and for those that were created later, again: with 10,000 watches too. */
const PROOF_MS = 500;
/**
 * How long the creation of one watch may take while others on its stream are served, and those before it are answered:
 * a proxy creates one after the other.
 */
const CREATION_MS = 10_000;
/**
 * A stream that breaks is soon opened again. If that fails too, etcd is down, and all who watched it come back
 * at once: each pause is up to so many times as long as the one before. Doubled after an outage of a second,
 * a quarter of 1,000 would come within a quarter of a second; so they are spread over 2 s and more.
 */
const OUTAGE_FACTOR = 6;
/** The longest pause between two streams. */
const MAX_PAUSE_MS = 3_000;

/**
 * Carries all watches of a client on one stream.
 *
 * A stream that ends, or that falls silent, is replaced on another member, for ever; each watch is then
 * created anew from its own resume point. A watch leaves the hub only by its owner, by etcd's refusal, or
 * with a gap.
 * The stream exists while there is a watch.
 */
export class WatchHub implements WatchCarrier {
  readonly #transport: EtcdTransport;
  readonly #clock: Clock;
  readonly #loop: StreamLoop<WatchRequest, WatchResponse>;
  readonly #watches = new Set<Watch>();
  /** Those that were asked for on this stream, by their id there. */
  readonly #byId = new Map<number, Watch>();
  /**
   * When each watch was asked for that is not yet answered on this stream, by id, in order. One that was
   * deleted stays: its answer is still to come.
   */
  readonly #uncreated = new Map<number, number>();
  /** When the oldest of them was answered last. */
  #oldestAnsweredAt = 0;
  /** Canceled by us on this stream, and not answered yet: what comes for them is of no interest. */
  readonly #leaving = new Set<number>();
  /** The watches that were created on this stream, and for which nothing has come since. */
  readonly #idle = new Set<Watch>();
  /** Of each watch that may have more to catch up with: when it was created here, or got a full piece; in order. */
  readonly #catchingUp = new Map<Watch, number>();
  /** Those of them that have caught up once the probe on its way is answered. */
  #proving = new Set<Watch>();
  #proofTimer: Timer | undefined;
  /** Counts the streams: an answer may come after the end of the one that it was asked for. */
  #stream = 0;
  /** Counts the creations of this stream from 0: so does etcd's grpc-proxy, which takes no other ids. */
  #nextId = 0;
  #lifeTimer: Timer | undefined;
  #lifeTimerAt = 0;
  #lastMessageAt = 0;
  /** Whether a message came on this stream. */
  #wasHeard = false;
  #askedAt: number | undefined;
  /** Whether etcd's grpc-proxy answers: what it says by itself has no cluster id, and proves no etcd behind it. */
  #isProxied = false;
  /** The id of the last question for a sign of life on this stream. */
  #probeId: number | undefined;
  /** Counts the questions that go past a proxy. */
  #questions = 0;

  constructor(transport: EtcdTransport, clock: Clock, random: Random) {
    this.#transport = transport;
    this.#clock = clock;
    this.#loop = new StreamLoop({
      clock,
      random,
      open: (handlers, options) => transport.watch(handlers, options),
      isWanted: () => this.#watches.size > 0,
      limits: (wasOfUse) => ({
        baseMs: 500,
        capMs: MAX_PAUSE_MS,
        factor: wasOfUse ? OUTAGE_FACTOR : 2,
      }),
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
    this.#watches.add(watch);
    if (this.#loop.isOpen) this.#create(watch);
    this.#loop.start();
  }

  /** Stops to deliver to `watch`, at once. */
  delete(watch: Watch): void {
    const isAsked = this.#byId.get(watch.id) === watch;
    if (!this.#remove(watch)) return;
    if (this.#watches.size === 0) this.#loop.stop();
    else if (isAsked) this.#leave(watch.id);
  }

  violated(violation: Violation): void {
    publish("sd:watch:violated", () => ({ violation, endpoint: this.#loop.endpoint }));
  }

  async close(): Promise<void> {
    const closed = this.#loop.close();
    for (const watch of [...this.#watches]) this.delete(watch);
    await closed;
  }

  #createAll(): void {
    this.#stream += 1;
    this.#isProxied = false;
    this.#nextId = 0;
    this.#wasHeard = false;
    this.#lastMessageAt = this.#clock.now();
    for (const watch of this.#watches) this.#create(watch);
  }

  #over(): void {
    this.#stream += 1;
    const quietMs = this.#clock.now() - this.#lastMessageAt;
    if (this.#askedAt !== undefined && quietMs >= ANSWER_MS) {
      for (const watch of this.#idle) watch.stalls += 1;
    } else if (this.#wasHeard) this.#loop.succeeded();
    this.#idle.clear();
    this.#byId.clear();
    this.#uncreated.clear();
    this.#leaving.clear();
    this.#lifeTimer?.[Symbol.dispose]();
    this.#lifeTimer = undefined;
    this.#askedAt = undefined;
    this.#probeId = undefined;
    this.#catchingUp.clear();
    this.#proving = new Set();
    this.#proofTimer?.[Symbol.dispose]();
    this.#proofTimer = undefined;
  }

  #interrupted(error: unknown): void {
    publish("sd:watch:interrupted", () => ({ error, watches: this.#watches.size }));
    // A message that cannot be received would break every new stream again: its watches start over.
    const isPoison = failureOf(error) === "too-large";
    for (const watch of [...this.#watches]) {
      if (isPoison) this.#end(watch, () => watch.endsWithGap("too-large"));
      else if (watch.stalls >= MAX_STALLS) this.#end(watch, () => watch.endsWithGap("too-slow"));
      else watch.interrupted(error);
    }
  }

  #create(watch: Watch): void {
    watch.id = this.#nextId++;
    this.#byId.set(watch.id, watch);
    this.#uncreated.set(watch.id, this.#clock.now());
    const { id: watchId, range, nextRevision: startRevision } = watch;
    this.#loop.send({ type: "create", watchId, ...range, startRevision });
    // What is asked already is due before this is, and past a proxy a read asks.
    if (this.#askedAt !== undefined || this.#isProxied) return;
    this.#askedAt = this.#clock.now();
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
   * Asks for a watch of no key, which every member refuses at once. A progress request is not answered before the
   * store has reached the first revision of each watch: in a quiet etcd, never.
   *
   * What is to prove that watches have caught up is created, and canceled: etcd does not create a watch while it
   * takes from the store what others have missed. Past a proxy, a read proves it.
   */
  #probe(now: number): void {
    const [watch] = this.#watches;
    if (!watch) return;
    this.#askedAt = now;
    this.#proving = new Set();
    for (const [each, since] of this.#catchingUp) if (since + CATCH_UP_MS <= now) this.#proving.add(each);
    const { key } = watch.range;
    if (this.#isProxied) {
      this.#ask(key);
      // The read has a connection of its own, so the stream is asked too, by creations that have their time. A refusal
      // would overtake them, and be taken for theirs.
      if (this.#uncreated.size > 0) return;
    }
    const isProof = this.#proving.size > 0 && !this.#isProxied;
    const watchId = isProof ? this.#nextId++ : REFUSED_ID;
    const range = isProof ? { key } : emptyRange(key);
    this.#uncreated.set(watchId, now);
    this.#probeId = watchId;
    this.#loop.send({ type: "create", watchId, ...range, startRevision: watch.nextRevision });
    if (isProof) this.#leave(watchId);
  }

  /** A proxy has shown itself, perhaps by its answer to a proof: another is asked for, by a read. */
  #goPastProxy(): void {
    this.#isProxied = true;
    this.#proving = new Set();
    this.#prove();
  }

  /** A read through the leader: what is left, where the stream's answers come from a proxy. */
  #ask(key: Uint8Array): void {
    const stream = this.#stream;
    this.#questions += 1;
    const question = this.#questions;
    const request = { key, limit: 1, keysOnly: true };
    this.#transport.range(request, { timeoutMs: ANSWER_MS }).then(
      () => {
        if (stream !== this.#stream) return;
        this.#lastMessageAt = this.#clock.now();
        this.#askedAt = undefined;
        this.#loop.succeeded();
        // An older one was asked for others.
        if (question === this.#questions) this.#proved();
        this.#watchOverLife();
      },
      (error) => {
        if (stream === this.#stream) this.#loop.leave(error, true);
      },
    );
  }

  /** Asks for a sign of life behind what the watches have missed, however busy the stream is. */
  #prove(): void {
    if (this.#catchingUp.size === 0 || this.#proving.size > 0) return;
    this.#proofTimer ??= this.#clock.setTimer(PROOF_MS, () => {
      this.#proofTimer = undefined;
      const now = this.#clock.now();
      const [oldest = now] = this.#catchingUp.values();
      if (this.#proving.size > 0) return;
      if (oldest + CATCH_UP_MS > now) {
        this.#prove();
        return;
      }
      this.#probe(now);
      this.#watchOverLife();
    });
  }

  /** The probe is answered. */
  #proved(): void {
    const proved = this.#proving;
    this.#proving = new Set();
    for (const watch of proved) {
      if (this.#catchingUp.delete(watch)) watch.caughtUp();
    }
    this.#prove();
  }

  #leave(watchId: number): void {
    if (!this.#loop.isOpen) return;
    this.#leaving.add(watchId);
    this.#loop.send({ type: "cancel", watchId });
  }

  get #answerMs(): number {
    return ANSWER_MS + this.#loop.roundTripMs;
  }

  /** When the oldest creation must have been answered. */
  #creationDue(): number {
    const [oldest = Number.POSITIVE_INFINITY] = this.#uncreated.values();
    return Math.max(oldest, this.#oldestAnsweredAt) + CREATION_MS;
  }

  #receive(response: WatchResponse): void {
    this.#lastMessageAt = this.#clock.now();
    this.#wasHeard = true;
    if (response.header.clusterId === 0n && !this.#isProxied) this.#goPastProxy();
    // Any message is a sign of life; creations are answered one by one.
    const wasAsked = this.#askedAt !== undefined;
    this.#askedAt = undefined;
    const id = this.#idOf(response);
    const askedAt = this.#uncreated.get(id);
    if (response.created && askedAt !== undefined) this.#loop.exchanged(this.#lastMessageAt - askedAt);
    if (response.created || response.canceled) this.#answered(id);
    // Not every server that speaks for etcd looks at the range.
    if (id === REFUSED_ID && response.created && !response.canceled) this.#leave(id);
    const watch = this.#byId.get(id);
    if (!watch && !this.#isExpected(id, response)) {
      this.#distrust();
      return;
    }
    this.#noteFlow(watch, id, response);
    if (watch) this.#tell(watch, response);
    else if (id === this.#probeId && id !== REFUSED_ID && this.#proving.size > 0) this.#proved();
    if (this.#uncreated.size > 0 && !this.#isProxied) this.#askedAt ??= this.#lastMessageAt;
    // What is due next may be so sooner than the answer was.
    if (wasAsked) this.#watchOverLife();
  }

  /** Notes that a creation is, if `id` was one. */
  #answered(id: number): void {
    const [oldest] = this.#uncreated.keys();
    if (id === oldest) this.#oldestAnsweredAt = this.#lastMessageAt;
    this.#uncreated.delete(id);
  }

  #tell(watch: Watch, response: WatchResponse): void {
    if (response.canceled) {
      this.#cancel(watch, response);
      return;
    }
    if (response.created) watch.created(response.header);
    const mayHaveMore = response.created || watch.receive(response);
    if (!watch.isCatchingUp) this.#catchingUp.delete(watch);
    else if (mayHaveMore && this.#watches.has(watch)) {
      // The next piece comes a moment later: the sign of life on its way may come between the two.
      this.#proving.delete(watch);
      this.#catchingUp.delete(watch);
      this.#catchingUp.set(watch, this.#clock.now());
      this.#prove();
    }
  }

  /** What may come for no watch: what was on its way to one that we have left, and answers to the stream. */
  #isExpected(id: number, { canceled }: WatchResponse): boolean {
    const isLeft = this.#leaving.has(id);
    if (canceled) this.#leaving.delete(id);
    // A cancellation harms nobody; it comes twice if etcd and we cancel at the same time.
    return isLeft || canceled || id === -1;
  }

  /** Ids were mixed up: whatever came on this stream may be another's, or may have gone to another. */
  #distrust(): void {
    this.violated("unknown-watch");
    for (const watch of [...this.#watches]) this.#end(watch, () => watch.endsWithGap("corrupt"));
    this.#loop.leave(new SdError("SD_INVARIANT", "etcd answered for a watch that it does not carry"), false);
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
    if (this.#byId.get(watch.id) === watch) this.#byId.delete(watch.id);
    this.#idle.delete(watch);
    this.#catchingUp.delete(watch);
    return this.#watches.delete(watch);
  }
}

/** Reads a cancel reason: free text, or gRPC's `rpc error: code = X desc = ...`. */
function refusal(reason: string, endpoint: string | undefined): SdError {
  const text = reason || "etcd canceled the watch without a reason";
  const where = endpoint === undefined ? {} : { endpoint };
  return failureError(new EtcdFailure(classify(2, text), text, where));
}
