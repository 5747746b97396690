import type { Cancellation } from "../kit/cancellation.js";
import type { Clock, Timer } from "../kit/clock.js";
import { type Deferred, deferred } from "../kit/deferred.js";
import { waitFor } from "../kit/signals.js";
import { wasSent } from "./failure.js";

/** So many retries are free at first, and may be saved up. */
const BURST = 10;
/** Without any success one more comes in this time. */
const REFILL_MS = 2_000;

/**
 * What a client may spend on trying again where etcd has heard the first try: 10 retries, one more for each
 * success, and one every 2 s.
 *
 * So thousands of loops that fail together, as etcd is overloaded, load it with half a retry a second, not
 * with thousands; and once it succeeds again they follow each other as fast as it answers. A try that never
 * left us costs etcd nothing, and is free.
 */
export class RetryBudget {
  readonly #clock: Clock;
  readonly #waiting = new Set<Deferred<void>>();
  #left = BURST;
  #refilledAt = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#refilledAt = clock.now();
  }

  /**
   * Waits until a retry after `error` can be afforded.
   *
   * @throws `signal.reason` when the signal aborts; `error` itself when `timeoutMs` is over.
   */
  async spend(
    error: unknown,
    {
      signal,
      timeoutMs,
    }: { readonly signal?: AbortSignal | Cancellation | undefined; readonly timeoutMs?: number } = {},
  ): Promise<void> {
    if (!wasSent(error)) return;
    this.#refill();
    if (this.#left >= 1) {
      this.#left -= 1;
      return;
    }
    const turn = deferred<void>();
    this.#waiting.add(turn);
    this.#arm();
    try {
      await waitFor(turn.promise, { signal, clock: this.#clock, timeoutMs, onTimeout: () => error });
    } finally {
      // Else a retry is lost to one who has left; time brings another.
      this.#waiting.delete(turn);
      this.#arm();
    }
  }

  /** etcd did what it was asked: so much it can bear. */
  succeeded(): void {
    this.#add(1);
  }

  #refill(): void {
    const count = Math.floor((this.#clock.now() - this.#refilledAt) / REFILL_MS);
    this.#refilledAt += count * REFILL_MS;
    this.#add(count);
  }

  #add(count: number): void {
    let left = this.#left + count;
    for (const turn of this.#waiting) {
      if (left < 1) break;
      left -= 1;
      this.#waiting.delete(turn);
      turn.resolve();
    }
    this.#left = Math.min(BURST, left);
  }

  #arm(): void {
    if (this.#waiting.size === 0) {
      this.#timer?.[Symbol.dispose]();
      this.#timer = undefined;
      return;
    }
    this.#timer ??= this.#clock.setTimer(this.#refilledAt + REFILL_MS - this.#clock.now(), () => {
      this.#timer = undefined;
      this.#refill();
      this.#arm();
    });
  }
}
