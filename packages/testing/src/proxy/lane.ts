import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What is done to the bytes of one direction; read anew for each chunk. */
export interface LaneFault {
  isBlackholed: boolean;
  isSliced: boolean;
  delayMs: number;
}

interface Parcel {
  /** `undefined` is the end of the stream. */
  readonly chunk: Buffer | undefined;
  readonly at: number;
}

/** Bytes that may wait here before the sender is told to stop. */
const MAX_WAITING = 1 << 20;

/** What the receiver gets to read what was forwarded before a reset: a reset overtakes bytes. */
const READ_MS = 10;

/** One direction of one connection: forwards what it reads, in order, as its fault allows. */
export class Lane {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #fault: LaneFault;
  readonly #onChunk: (chunk: Buffer) => number | undefined;
  readonly #onCut: () => void;
  readonly #parcels: Parcel[] = [];
  #waiting = 0;
  #isRunning = false;
  #isCut = false;
  #forwarded = 0;

  /**
   * @param onChunk sees each chunk before it is forwarded; a number: forward only so many bytes of it, then cut.
   * @param onCut called once the receiver has had time to read the last byte.
   */
  constructor(
    source: Socket,
    sink: Socket,
    fault: LaneFault,
    onChunk: (chunk: Buffer) => number | undefined,
    onCut: () => void,
  ) {
    this.#source = source;
    this.#sink = sink;
    this.#fault = fault;
    this.#onChunk = onChunk;
    this.#onCut = onCut;
    source.on("data", (chunk) => this.#take(chunk));
    source.on("end", () => this.#take(undefined));
  }

  /** Bytes that were forwarded. */
  get forwarded(): number {
    return this.#forwarded;
  }

  #take(chunk: Buffer | undefined): void {
    if (this.#fault.isBlackholed || this.#isCut) return;
    this.#parcels.push({ chunk, at: performance.now() });
    this.#waiting += chunk?.length ?? 0;
    if (this.#waiting > MAX_WAITING) this.#source.pause();
    void this.#run();
  }

  /** Up to the first wait it runs in the caller's turn, so a proxy without faults adds no delay. */
  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let parcel = this.#parcels.shift(); parcel && !this.#isCut; parcel = this.#parcels.shift()) {
      const dueMs = parcel.at + this.#fault.delayMs - performance.now();
      if (this.#fault.delayMs > 0 && dueMs > 0) await pause(dueMs);
      await this.#forward(parcel.chunk);
      this.#waiting -= parcel.chunk?.length ?? 0;
      if (this.#waiting <= MAX_WAITING && this.#source.isPaused()) this.#source.resume();
    }
    this.#isRunning = false;
  }

  #forward(chunk: Buffer | undefined): Promise<void> | undefined {
    if (this.#fault.isBlackholed || this.#sink.destroyed) return undefined;
    if (chunk === undefined) {
      this.#sink.end();
      return undefined;
    }
    const limit = this.#onChunk(chunk);
    if (limit !== undefined) {
      this.#isCut = true;
      return this.#write(chunk.subarray(0, limit)).then(() => this.#cut());
    }
    if (this.#fault.isSliced) return this.#slice(chunk);
    this.#forwarded += chunk.length;
    return this.#sink.write(chunk) ? undefined : this.#drained();
  }

  async #slice(chunk: Buffer): Promise<void> {
    for (const byte of chunk) {
      if (this.#sink.destroyed) return;
      await this.#write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #write(chunk: Buffer): Promise<void> {
    this.#forwarded += chunk.length;
    await new Promise((resolve) => this.#sink.write(chunk, resolve));
  }

  async #cut(): Promise<void> {
    await pause(READ_MS);
    this.#onCut();
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
