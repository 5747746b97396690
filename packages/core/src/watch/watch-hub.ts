import { classify, EtcdFailure, failureError, failureOf } from "../etcd/failure.js";
import type { DuplexStream, EtcdTransport } from "../etcd/transport.js";
import type { WatchRequest, WatchResponse } from "../etcd/types.js";
import { Backoff } from "../kit/backoff.js";
import { publish } from "../kit/channels.js";
import { type Clock, sleep, type Timer } from "../kit/clock.js";
import { deferred } from "../kit/deferred.js";
import { SdError } from "../kit/errors.js";
import type { Random } from "../kit/random.js";
import type { Watch, WatchCarrier } from "./watch.js";

/** A stream without a message for so long is asked for a sign of life (T3). */
const QUIET_MS = 4_500;
/** How long the answer may take: to a creation, or to the question for a sign of life. */
const ANSWER_MS = 3_000;

/** How long the creation of one watch may take while others on its stream are served. */
const CREATION_MS = 10_000;

/**
 * Carries all watches of a client on one stream.
 *
 * A stream that ends, or that falls silent, is replaced on another member, for ever; each watch is then
 * created anew from its own resume point. A watch leaves the hub only by its owner or by etcd's refusal.
 * The stream exists while there is a watch.
 */
export class WatchHub implements WatchCarrier {
  readonly #transport: EtcdTransport;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #watches = new Map<number, Watch>();
  /**
   * When each watch was asked for that is not yet answered on this stream, by id, in order. One that was
   * deleted stays: its answer is still to come.
   */
  readonly #uncreated = new Map<number, number>();
  readonly #abort = new AbortController();
  #nextId = 1;
  #stream: DuplexStream<WatchRequest> | undefined;
  /** Leaves the current stream. */
  #leave: ((error: unknown, suspect: boolean) => void) | undefined;
  #loop: Promise<void> | undefined;
  #lifeTimer: Timer | undefined;
  #lifeTimerAt = 0;
  #lastMessageAt = 0;
  /** Whether a message came on this stream: only that makes it a success, its opening does not. */
  #wasHeard = false;
  #askedAt: number | undefined;

  constructor(transport: EtcdTransport, clock: Clock, random: Random) {
    this.#transport = transport;
    this.#clock = clock;
    this.#random = random;
  }

  /** Starts to deliver to `watch`, from its resume point on. After `close()` it is refused. */
  add(watch: Watch): void {
    if (this.#abort.signal.aborted) {
      queueMicrotask(() => watch.refused(this.#abort.signal.reason));
      return;
    }
    watch.id = this.#nextId++;
    this.#watches.set(watch.id, watch);
    if (this.#stream) this.#create(watch);
    this.#start();
  }

  /** Stops to deliver to `watch`, at once. */
  delete(watch: Watch): void {
    if (this.#watches.get(watch.id) !== watch) return;
    this.#watches.delete(watch.id);
    if (this.#watches.size === 0) this.#leave?.(undefined, false);
    else this.#stream?.send({ type: "cancel", watchId: watch.id });
  }

  async close(): Promise<void> {
    this.#abort.abort(new SdError("SD_CLOSED", "the client is closed"));
    for (const watch of [...this.#watches.values()]) this.delete(watch);
    await this.#loop;
  }

  #start(): void {
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
      // A watch may have come in after the loop had seen that none was left.
      if (this.#watches.size > 0) this.#start();
    });
  }

  async #run(): Promise<void> {
    const first = Backoff.start({ baseMs: 500 });
    let backoff = first;
    while (this.#watches.size > 0) {
      this.#wasHeard = false;
      const error = await this.#session();
      if (this.#watches.size === 0) return;
      publish("sd:watch:interrupted", () => ({ error, watches: this.#watches.size }));
      // A message that cannot be received would break every new stream again: its watches start over.
      const isPoison = failureOf(error) === "too-large";
      for (const watch of [...this.#watches.values()]) {
        if (isPoison) this.#end(watch, () => watch.endsWithGap("too-large"));
        else watch.interrupted(error);
      }
      backoff = this.#wasHeard ? first : backoff.next();
      await sleep(this.#clock, backoff.delayMs(this.#random), this.#abort.signal).catch(() => {});
    }
  }

  /** One stream, from its opening to its end. Resolves with the reason of the end. */
  async #session(): Promise<unknown> {
    const ended = deferred<unknown>();
    try {
      this.#stream = await this.#transport.watch(
        { onMessage: (response) => this.#receive(response), onEnd: ended.resolve },
        { signal: this.#abort.signal },
      );
    } catch (error) {
      return error;
    }
    this.#leave = (error, suspect) => {
      this.#stream?.cancel({ suspect });
      ended.resolve(error);
    };
    this.#lastMessageAt = this.#clock.now();
    for (const watch of this.#watches.values()) this.#create(watch);
    if (this.#watches.size === 0) this.#leave(undefined, false);
    const error = await ended.promise;
    this.#stream = undefined;
    this.#leave = undefined;
    this.#uncreated.clear();
    this.#lifeTimer?.[Symbol.dispose]();
    this.#lifeTimer = undefined;
    this.#askedAt = undefined;
    return error;
  }

  #create(watch: Watch): void {
    this.#uncreated.set(watch.id, this.#clock.now());
    this.#stream?.send({
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
    if (!this.#stream) return;
    const lifeDue = this.#askedAt === undefined ? this.#lastMessageAt + QUIET_MS : this.#askedAt + ANSWER_MS;
    const due = Math.min(lifeDue, this.#creationDue());
    // A timer that fires too early only arms itself anew.
    if (this.#lifeTimer && this.#lifeTimerAt <= due) return;
    this.#lifeTimer?.[Symbol.dispose]();
    this.#lifeTimerAt = due;
    this.#lifeTimer = this.#clock.setTimer(due - this.#clock.now(), () => {
      this.#lifeTimer = undefined;
      const now = this.#clock.now();
      const isSilent = this.#askedAt !== undefined && now >= this.#askedAt + ANSWER_MS;
      if (isSilent || now >= this.#creationDue()) {
        this.#leave?.(new SdError("SD_UNAVAILABLE", "etcd does not answer on the watch stream"), true);
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
    this.#stream?.send({ type: "create", watchId, key, startRevision: watch.nextRevision });
    this.#stream?.send({ type: "cancel", watchId });
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
    if (watch) {
      if (response.canceled) this.#cancel(watch, response);
      else if (response.created) watch.created(response.header);
      else watch.receive(response);
    }
    if (this.#uncreated.size > 0) this.#askedAt ??= this.#lastMessageAt;
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
      else watch.refused(refusal(cancelReason, this.#stream?.endpoint));
    });
  }

  /** Takes out a watch that etcd no longer serves, then tells it. */
  #end(watch: Watch, tell: () => void): void {
    this.#watches.delete(watch.id);
    tell();
    if (this.#watches.size === 0) this.#leave?.(undefined, false);
  }
}

/** Reads a cancel reason: free text, or gRPC's `rpc error: code = X desc = ...`. */
function refusal(reason: string, endpoint: string | undefined): SdError {
  const text = reason || "etcd canceled the watch without a reason";
  const where = endpoint === undefined ? {} : { endpoint };
  return failureError(new EtcdFailure(classify(2, text), text, where));
}
