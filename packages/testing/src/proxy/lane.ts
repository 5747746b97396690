import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Conditions } from "./conditions.js";

interface Parcel {
  /** `undefined` is the end of the stream. */
  readonly chunk: Buffer | undefined;
  readonly at: number;
  /** In [0, 1): its share of the jitter. */
  readonly share: number;
}

/** Bytes that may wait here before the sender is told to stop. */
const MAX_WAITING = 1 << 20;

/** What the receiver gets to read what was forwarded before a reset: a reset overtakes bytes. */
const READ_MS = 10;

/** A limited link sends in pieces that take so long. */
const PIECE_MS = 20;

/** What a lane asks its connection. */
export interface LaneHooks {
  /** Chance for the jitter, in [0, 1). */
  chance(): number;
  /** Sees each chunk before it is forwarded; a number: forward only so many bytes of it, then cut. */
  onChunk(chunk: Buffer): number | undefined;
  /** Called once the receiver has had time to read the last byte before a cut. */
  onCut(): void;
}

/**
 * One direction of one connection: forwards what it reads, in order, as the conditions allow.
 *
 * It holds a megabyte at most: then the sender waits.
 */
export class Lane {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #conditions: Conditions;
  readonly #hooks: LaneHooks;
  readonly #parcels: Parcel[] = [];
  #waiting = 0;
  #isRunning = false;
  /** By a cut, or because this direction has ended: nothing more is forwarded. */
  #isOver = false;
  #forwarded = 0;
  #wake: () => void = () => {};

  constructor(source: Socket, sink: Socket, conditions: Conditions, hooks: LaneHooks) {
    this.#source = source;
    this.#sink = sink;
    this.#conditions = conditions;
    this.#hooks = hooks;
    source.on("data", (chunk) => this.#take(chunk));
    source.on("end", () => this.#take(undefined));
    const changes = conditions.onChange(() => this.#onChange());
    sink.on("close", () => {
      changes[Symbol.dispose]();
      this.#wake();
    });
    this.#onChange();
  }

  /** Bytes that were forwarded. */
  get forwarded(): number {
    return this.#forwarded;
  }

  #onChange(): void {
    if (this.#conditions.fault.isEnded && !this.#isOver) {
      this.#isOver = true;
      if (!this.#sink.writableEnded) this.#sink.end();
      // What is still sent is read and dropped: the sender is not to notice.
      this.#source.resume();
    }
    this.#wake();
  }

  #take(chunk: Buffer | undefined): void {
    if (this.#conditions.fault.isBlackholed || this.#isOver) return;
    this.#parcels.push({ chunk, at: performance.now(), share: this.#hooks.chance() });
    this.#waiting += chunk?.length ?? 0;
    if (this.#waiting > MAX_WAITING) this.#source.pause();
    void this.#run();
  }

  /** Up to the first wait it runs in the caller's turn, so a proxy without faults adds no delay. */
  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let parcel = this.#parcels.shift(); parcel && !this.#isOver; parcel = this.#parcels.shift()) {
      if (this.#dueMs(parcel) > 0) await this.#until(parcel);
      await this.#forward(parcel.chunk);
      this.#waiting -= parcel.chunk?.length ?? 0;
      if (this.#waiting <= MAX_WAITING && this.#source.isPaused()) this.#source.resume();
    }
    this.#isRunning = false;
  }

  #dueMs({ at, share }: Parcel): number {
    const { delayMs, jitterMs } = this.#conditions.fault;
    const waitMs = delayMs + share * jitterMs;
    return waitMs === 0 ? 0 : at + waitMs - performance.now();
  }

  async #until(parcel: Parcel): Promise<void> {
    for (let ms = this.#dueMs(parcel); ms > 0 && this.#canWrite; ms = this.#dueMs(parcel)) {
      await this.#wait(ms);
    }
  }

  #forward(chunk: Buffer | undefined): Promise<void> | undefined {
    const { isBlackholed, isSliced, bytesPerSecond } = this.#conditions.fault;
    if (isBlackholed || !this.#canWrite) return undefined;
    if (chunk === undefined) {
      this.#sink.end();
      return undefined;
    }
    const limit = this.#hooks.onChunk(chunk);
    if (limit !== undefined) return this.#cutAfter(chunk.subarray(0, limit));
    if (isSliced || bytesPerSecond < Number.POSITIVE_INFINITY) return this.#sendInPieces(chunk);
    this.#forwarded += chunk.length;
    return this.#sink.write(chunk) ? undefined : this.#drained();
  }

  async #cutAfter(chunk: Buffer): Promise<void> {
    if (chunk.length > 0) await this.#sendInPieces(chunk);
    this.#isOver = true;
    await pause(READ_MS);
    this.#hooks.onCut();
  }

  /** By the rate and in the slices that hold when each is sent: a change takes effect within a chunk. */
  async #sendInPieces(chunk: Buffer): Promise<void> {
    for (let rest = chunk; rest.length > 0; ) {
      const { isSliced, bytesPerSecond } = this.#conditions.fault;
      const size = isSliced ? 1 : Math.max(1, Math.floor((bytesPerSecond * PIECE_MS) / 1_000));
      const piece = rest.subarray(0, size);
      rest = rest.subarray(piece.length);
      await this.#passLink(piece.length);
      if (this.#conditions.fault.isBlackholed || !this.#canWrite) return;
      this.#forwarded += piece.length;
      await new Promise((resolve) => this.#sink.write(piece, resolve));
      if (isSliced) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #passLink(bytes: number): Promise<void> {
    const { fault } = this.#conditions;
    if (fault.bytesPerSecond === Number.POSITIVE_INFINITY) return;
    const sentAt = this.#conditions.reserve(bytes);
    for (let ms = 1; ms > 0 && this.#conditions.fault === fault && this.#canWrite; ) {
      ms = sentAt - performance.now();
      if (ms > 0) await this.#wait(ms);
    }
  }

  get #canWrite(): boolean {
    return !this.#isOver && !this.#sink.destroyed && !this.#sink.writableEnded;
  }

  /** Until the time is over, the conditions change, or the receiver is gone. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = done;
    });
  }

  async #drained(): Promise<void> {
    const sink = this.#sink;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        sink.off("drain", done);
        sink.off("close", done);
        resolve();
      };
      sink.on("drain", done);
      sink.on("close", done);
    });
  }
}
