import type { Clock, Timer } from "@sd/core";
import type { ManualClock } from "@sd/testing";

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
    if (now === this.#now) return;
    this.onMove();
    this.#now = now;
  }
}
