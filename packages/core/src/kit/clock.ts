/** A pending timer; disposing cancels it, and is harmless after it fired. */
export type Timer = Disposable;

/**
 * The only source of time. Monotonic: it never jumps with the wall clock.
 *
 * Tests inject a manual one; nothing outside this file reads the time of the machine.
 */
export interface Clock {
  /** Milliseconds since an arbitrary start; never decreases. */
  now(): number;
  /**
   * Calls `fire` once, `delayMs` from now or later, however long that is, unless disposed before. The machine's
   * clock may do so a part of a millisecond earlier: whoever acts on what is due looks at the time again.
   * A pending timer does not keep the process alive.
   */
  setTimer(delayMs: number, fire: () => void): Timer;
}

/**
 * Milliseconds since 1970, as the machine's calendar says. It may jump: only for what outlives a process, whose
 * clock begins anew.
 */
export function calendarMs(): number {
  return Date.now();
}

/** 24.8 days. Above this, Node fires at once instead of late. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * A timer that is so late was held up: the process was busy, stopped or without a CPU. In such a turn Node runs timers
 * before it reads from sockets, so answers that have come in time would be taken for missing.
 */
const LATE_MS = 20;

/**
 * The machine's monotonic clock. A timer that is held up lets what has come in meanwhile go first; so may one that
 * is due later, and less late.
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, fire) => new SystemTimer(delayMs, fire),
};

class SystemTimer implements Timer {
  static readonly #rings = (timer: SystemTimer, restMs: number): void => timer.#ring(restMs);
  static readonly #ringsLater = (timer: SystemTimer): void => timer.#ringLater();
  readonly #dueAt: number;
  readonly #fire: () => void;
  #handle: NodeJS.Timeout;
  #afterReading: NodeJS.Immediate | undefined;

  constructor(delayMs: number, fire: () => void) {
    this.#dueAt = performance.now() + delayMs;
    this.#fire = fire;
    this.#handle = this.#wait(delayMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#handle);
    clearImmediate(this.#afterReading);
  }

  #wait(leftMs: number): NodeJS.Timeout {
    const restMs = leftMs - MAX_TIMER_MS;
    // Node leaves the fraction out, and would fire up to a millisecond too early; of now it does so too.
    const waitMs = Math.min(Math.max(0, Math.ceil(leftMs)), MAX_TIMER_MS);
    return setTimeout(SystemTimer.#rings, waitMs, this, restMs).unref();
  }

  #ring(restMs: number): void {
    if (restMs > 0) this.#handle = this.#wait(restMs);
    // It holds the process for a turn: unheld, it might wait for the next packet.
    else if (performance.now() - this.#dueAt > LATE_MS) {
      this.#afterReading = setImmediate(SystemTimer.#ringsLater, this);
    } else this.#fire();
  }

  #ringLater(): void {
    // One that has run still leads to those before and after it, and to all that they were for.
    this.#afterReading = undefined;
    this.#fire();
  }
}

/** Calls `run` after the event loop has gone round twice: what was posted with `setImmediate` has happened. */
export function afterTwoRounds(run: () => void): void {
  setImmediate(() => setImmediate(run));
}

/** Resolves when the event loop has gone round: sockets had their turn, and timers but those that were held up. */
export function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Keeps the process alive until disposed, as a listening server does. */
export function holdProcess(): Disposable {
  const handle = setInterval(() => {}, MAX_TIMER_MS);
  return { [Symbol.dispose]: () => clearInterval(handle) };
}
