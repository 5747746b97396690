import type { Random } from "./random.js";

/** Bounds of a backoff, in milliseconds. */
export interface BackoffLimits {
  /** The ceiling of the first delay. Default 100. */
  readonly baseMs?: number;
  /** The ceiling of every delay. Default 5000. */
  readonly capMs?: number;
  /** How many times the ceiling before the next one is. Default 2. */
  readonly factor?: number;
}

/**
 * One step of an exponential backoff with full jitter: an immutable value.
 *
 * The delay is evenly spread over [0, min(cap, base * factor^step)), so a herd disperses.
 * Keep `next()` after a failure; go back to the first step only after a *successful step*,
 * not because a connection was made.
 * Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
 */
export class Backoff {
  private constructor(
    private readonly baseMs: number,
    private readonly capMs: number,
    private readonly factor: number,
    /** How many failures came before. */
    readonly step: number,
  ) {}

  static start({ baseMs = 100, capMs = 5_000, factor = 2 }: BackoffLimits = {}): Backoff {
    return new Backoff(baseMs, capMs, factor, 0);
  }

  /** How long to wait now, in milliseconds: spread over less, if `mostMs` is below the ceiling. */
  delayMs(random: Random, mostMs = Number.POSITIVE_INFINITY): number {
    return random.next() * Math.min(this.capMs, mostMs, this.baseMs * this.factor ** Math.min(this.step, 30));
  }

  /** The step after one more failure. */
  next(): Backoff {
    return new Backoff(this.baseMs, this.capMs, this.factor, this.step + 1);
  }
}
