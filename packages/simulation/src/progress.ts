import { type Clock, systemClock } from "@sd/core";

const EVERY_MS = 10_000;

/** Tells from time to time how far a long run is: nothing in the first ten seconds, then a line every ten. */
export class Progress {
  readonly #count: number;
  readonly #say: (line: string) => void;
  readonly #clock: Clock;
  readonly #startedAt: number;
  #toldAt: number;

  /** @param count how many seeds there are to run. */
  constructor(count: number, say: (line: string) => void, clock: Clock = systemClock) {
    this.#count = count;
    this.#say = say;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#toldAt = this.#startedAt;
  }

  /** Call it after each seed. */
  tell(done: number, failed: number): void {
    const now = this.#clock.now();
    if (now - this.#toldAt < EVERY_MS || done === this.#count) return;
    this.#toldAt = now;
    const rate = done / ((now - this.#startedAt) / 1_000);
    const leftS = Math.ceil((this.#count - done) / rate);
    const trouble = failed === 0 ? "" : `, ${failed} with violations`;
    this.#say(`${done} of ${this.#count} seeds, ${rate.toFixed(1)} a second, ${leftS} s left${trouble}`);
  }
}
