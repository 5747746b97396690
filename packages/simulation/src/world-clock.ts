import type { Clock, Timer } from "@sd/core";
import type { ManualClock } from "@sd/testing";

/** Two that wait for the same moment, by sums of other delays, may be apart by the last bits of a number. */
const ROUNDING_MS = 1e-6;

/** The clock of the world: tells before each moment in which something happens, while the last still stands. */
export class WorldClock implements Clock {
  readonly #manual: ManualClock;
  #now = 0;
  /** Called when the time is about to move on. */
  onMove: () => void = () => {};

  constructor(manual: ManualClock) {
    this.#manual = manual;
  }

  now(): number {
    return this.#now;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    return this.#manual.setTimer(delayMs, () => {
      this.#move();
      fire();
    });
  }

  async advance(ms: number): Promise<void> {
    await this.#manual.advance(ms);
    this.#move();
  }

  async settle(): Promise<void> {
    await this.advance(0);
  }

  get pending(): number {
    return this.#manual.pending;
  }

  #move(): void {
    const now = this.#manual.now();
    if (now - this.#now > ROUNDING_MS) this.onMove();
    this.#now = now;
  }
}
