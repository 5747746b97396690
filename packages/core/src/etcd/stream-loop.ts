import { Backoff, type BackoffLimits } from "../kit/backoff.js";
import type { Clock } from "../kit/clock.js";
import { deferred } from "../kit/deferred.js";
import { SdError } from "../kit/errors.js";
import type { Random } from "../kit/random.js";
import { type LinkedController, linkSignals, sleep } from "../kit/signals.js";
import { failureOf, isLasting } from "./failure.js";
import { retryDelayMs } from "./retry.js";
import type { CallOptions, DuplexStream, StreamHandlers } from "./transport.js";

/** What a loop asks its owner, and tells it. */
export interface StreamLoopOptions<Request, Response> {
  readonly clock: Clock;
  readonly random: Random;
  readonly open: (handlers: StreamHandlers<Response>, options: CallOptions) => Promise<DuplexStream<Request>>;
  /** Whether there is something to keep a stream for. */
  readonly isWanted: () => boolean;
  /** The bounds of the pauses, asked for at each new beginning of the backoff: after a stream that was of use, or none. */
  readonly limits: (wasOfUse: boolean) => BackoffLimits;
  /** The ceiling of the next pause, where that is less than what the backoff says. */
  readonly maxPauseMs?: () => number;
  /** The stream can be written to. */
  readonly onOpen: () => void;
  readonly onMessage: (response: Response) => void;
  /** The stream of the last `onOpen` is over, for whatever reason: what was true of it only is void. */
  readonly onOver: () => void;
  /** There is no stream though one is wanted, and there will be a pause. */
  readonly onInterrupted: (error: unknown) => void;
}

interface Open<Request> {
  readonly stream: DuplexStream<Request>;
  /** Of the fastest exchange; before the first, as the connection says, which may be its slow making. */
  roundTripMs: number;
  /** Resolves the session; `undefined` if its end is no failure. */
  readonly end: (failure: Failure | undefined) => void;
}

interface Failure {
  readonly error: unknown;
  /** How long it took in vain to open the stream, in milliseconds. */
  readonly triedMs?: number;
}

/**
 * Keeps one stream open while it is wanted: opens it, and after each end pauses and opens the next.
 *
 * `onOpen`, `onOver` and `onInterrupted` come in this order, never within a call of the owner. No more than
 * one stream is open at a time. The backoff starts over only with `succeeded()`, and when etcd refuses the token
 * of a stream for the first time in a row.
 */
export class StreamLoop<Request, Response> {
  readonly #options: StreamLoopOptions<Request, Response>;
  readonly #abort = new AbortController();
  #current: Open<Request> | undefined;
  #hasSucceeded = false;
  #pause: LinkedController | undefined;
  #isLongPause = false;
  #running: Promise<void> | undefined;

  constructor(options: StreamLoopOptions<Request, Response>) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#current !== undefined;
  }

  get isClosed(): boolean {
    return this.#abort.signal.aborted;
  }

  /** The member that the stream leads to. */
  get endpoint(): string | undefined {
    return this.#current?.stream.endpoint;
  }

  /** At most how long a message takes to the member and back, in milliseconds. */
  get roundTripMs(): number {
    return this.#current?.roundTripMs ?? 0;
  }

  /** Something sent on the stream had its answer after so long. */
  exchanged(durationMs: number): void {
    const current = this.#current;
    if (current) current.roundTripMs = Math.min(current.roundTripMs, durationMs);
  }

  /** Something is wanted, now or in addition. */
  start(): void {
    if (this.isClosed) return;
    // Who comes now has usually been accepted by etcd a moment ago: the operator may have acted.
    if (this.#isLongPause) this.#pause?.abort();
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      // Something may have come in after the loop had seen that nothing was wanted.
      if (this.#options.isWanted()) this.start();
    });
  }

  /** Nothing is wanted any more: leaves the stream, and waits for no other. */
  stop(): void {
    const current = this.#take();
    current?.stream.cancel({ suspect: false });
    current?.end(undefined);
    this.#pause?.abort();
  }

  /**
   * Leaves the stream because of `error`, to open another.
   *
   * @param suspect whether the member is to blame.
   */
  leave(error: unknown, suspect: boolean): void {
    const current = this.#take();
    current?.stream.cancel({ suspect });
    current?.end({ error });
  }

  /** Sends on the stream, if there is one. A request that cannot be sent ends the stream; never throws. */
  send(request: Request): void {
    try {
      this.#current?.stream.send(request);
    } catch (error) {
      this.leave(error, false);
    }
  }

  /** The stream has been of use: the next pause is a short one again. */
  succeeded(): void {
    this.#hasSucceeded = true;
  }

  /** Ends the stream and the loop. Resolves when both are over. */
  async close(): Promise<void> {
    if (!this.isClosed) this.#abort.abort(new SdError("SD_CLOSED", "the client is closed"));
    this.stop();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { isWanted, limits, random, onInterrupted } = this.#options;
    let backoff = Backoff.start(limits(false));
    let wasToken = false;
    while (isWanted() && !this.isClosed) {
      this.#hasSucceeded = false;
      const failure = await this.#session();
      if (!failure) continue;
      if (!isWanted()) return;
      onInterrupted(failure.error);
      if (!isWanted()) return;
      const isToken = failureOf(failure.error) === "token";
      // etcd answers, and the next stream has another token: after an outage too there is little to wait for.
      const isFresh = this.#hasSucceeded || (isToken && !wasToken);
      backoff = isFresh ? Backoff.start(limits(this.#hasSucceeded)) : backoff.next();
      wasToken = isToken;
      const bounds = { ...failure, mostMs: this.#options.maxPauseMs?.() };
      await this.#wait(failure.error, retryDelayMs(failure.error, backoff, random, bounds));
    }
  }

  async #wait(error: unknown, delayMs: number): Promise<void> {
    using pause = linkSignals(this.#abort.signal);
    this.#pause = pause;
    this.#isLongPause = isLasting(error);
    await sleep(this.#options.clock, delayMs, pause.signal).catch(() => {});
    this.#pause = undefined;
    this.#isLongPause = false;
  }

  /** One stream, from its opening to its end. Resolves with the failure that ended it. */
  async #session(): Promise<Failure | undefined> {
    const { clock, open, isWanted, onMessage, onOpen, onOver } = this.#options;
    const startedAt = clock.now();
    const ended = deferred<Failure | undefined>();
    let isOver = false;
    const onEnd = (error: unknown): void => {
      isOver = true;
      this.#take();
      ended.resolve({ error });
    };
    try {
      const stream = await open({ onMessage, onEnd }, { signal: this.#abort.signal });
      if (!isOver) this.#current = { stream, roundTripMs: stream.roundTripMs ?? 0, end: ended.resolve };
    } catch (error) {
      return { error, triedMs: clock.now() - startedAt };
    }
    if (!isWanted()) this.stop();
    else if (!isOver) this.#guarded(onOpen);
    const failure = await ended.promise;
    onOver();
    return failure;
  }

  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.leave(error, false);
    }
  }

  #take(): Open<Request> | undefined {
    const current = this.#current;
    this.#current = undefined;
    return current;
  }
}
