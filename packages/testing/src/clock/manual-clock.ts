import { setImmediate as turn } from "node:timers/promises";
import { type Clock, invalidArgument, requireMethods, type Timer } from "@sd/core";
import { requireNumber } from "../check/arguments.js";

interface Entry {
  readonly at: number;
  readonly fire: () => void;
}

/** So many timers in one `advance()` are a loop that gets nowhere. */
const MAX_TIMERS = 1_000_000;

/** Turns of the event loop after each timer: an immediate may make another. */
const TURNS = 3;

/**
 * A clock that stands still until the test moves it.
 *
 * Starts at 0. Timers fire in the order of their time, then of their creation, each while `now()` is its own
 * time. After each one the promises, microtasks and immediates that follow from it settle before the next
 * fires, so a run is the same every time.
 */
export class ManualClock implements Clock {
  #now = 0;
  /** Ordered by time, then creation. */
  readonly #timers: Entry[] = [];
  #moving = false;

  now(): number {
    return this.#now;
  }

  /** @throws SdError `SD_INVALID_ARGUMENT` for a delay that is no number: it would never be over. */
  setTimer(delayMs: number, fire: () => void): Timer {
    if (typeof delayMs !== "number" || Number.isNaN(delayMs))
      throw invalidArgument("delayMs", "a number", delayMs);
    const entry: Entry = { at: this.#now + Math.max(0, delayMs), fire };
    this.#timers.splice(this.#indexAfter(entry.at), 0, entry);
    return { [Symbol.dispose]: () => this.#remove(entry) };
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.length;
  }

  /** When the next timer fires, by this clock. */
  get nextTimerAt(): number | undefined {
    return this.#timers[0]?.at;
  }

  /**
   * Moves the time by `ms` and fires what falls due, timers that are made meanwhile included.
   *
   * @throws SdError `SD_INVALID_ARGUMENT` unless `ms` is a number from 0, and not infinite.
   * @throws what a timer throws; the time then stands at that timer. Also throws if it is already moving,
   *   or if a million timers fire, which means that one renews itself without delay.
   */
  async advance(ms: number): Promise<void> {
    requireNumber("ms", ms);
    if (this.#moving) throw new Error("the clock is already moving: await the last advance() first");
    this.#moving = true;
    try {
      await drain();
      const target = this.#now + ms;
      for (let fired = 0; ; fired += 1) {
        const next = this.#timers[0];
        if (next && next.at <= target) {
          if (fired >= MAX_TIMERS) throw new Error(`${MAX_TIMERS} timers fired before ${target} ms`);
          this.#timers.shift();
          this.#now = next.at;
          next.fire();
        } else if (this.#now < target) {
          this.#now = target;
        } else {
          return;
        }
        await drain();
      }
    } finally {
      this.#moving = false;
    }
  }

  /** Lets everything happen that needs no time: promises, immediates, and timers that are due already. */
  async settle(): Promise<void> {
    await this.advance(0);
  }

  /**
   * Moves the time until `work` settles, and no further; returns or throws what it does.
   *
   * @throws Error if that takes longer than `withinMs`. The time then stands at the last timer before.
   */
  async run<Result>(work: Promise<Result>, withinMs = 0): Promise<Result> {
    requireMethods("work", work, ["then"], "a promise");
    requireNumber("withinMs", withinMs);
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    work.then(settle, settle);
    const until = this.#now + withinMs;
    await this.settle();
    while (!isSettled) {
      const next = this.nextTimerAt;
      if (next === undefined || next > until) throw new Error(`not settled within ${withinMs} ms`);
      await this.advance(next - this.#now);
    }
    return work;
  }

  #remove(entry: Entry): void {
    const index = this.#timers.indexOf(entry);
    if (index >= 0) this.#timers.splice(index, 1);
  }

  #indexAfter(at: number): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#timers[middle] as Entry).at <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

async function drain(): Promise<void> {
  for (let turns = 0; turns < TURNS; turns += 1) await turn();
}
