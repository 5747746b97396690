import { type Clock, sleep } from "@sd/core";
import type { CacheStorage } from "../src/cache-file.js";

/** 2026-01-01, where the clocks of tests begin. */
const START = 1_767_225_600_000;

/** A cache file that needs no disk, and does what a disk may do. */
export class MemoryFile implements CacheStorage {
  bytes: Uint8Array | undefined;
  reads = 0;
  writes = 0;
  /** What every write throws. */
  error: Error | undefined;
  /** How long every write takes. */
  writeMs = 0;
  /** Nothing is answered any more. */
  isHung = false;
  /** What every read waits for. */
  reading: Promise<void> = Promise.resolve();
  /** How far the calendar was put ahead. */
  aheadMs = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return START + this.#clock.now() + this.aheadMs;
  }

  async read(maxBytes: number): Promise<Uint8Array | undefined> {
    this.reads += 1;
    if (this.isHung) return new Promise(() => {});
    await this.reading;
    if (this.bytes && this.bytes.length > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
    return this.bytes;
  }

  async write(chunks: Iterable<Uint8Array>): Promise<void> {
    this.writes += 1;
    if (this.isHung) return new Promise(() => {});
    if (this.writeMs > 0) await sleep(this.#clock, this.writeMs);
    if (this.error) throw this.error;
    this.bytes = Buffer.concat([...chunks]);
  }

  get text(): string {
    return Buffer.from(this.bytes ?? []).toString();
  }
}
