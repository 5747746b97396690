import { type Deferred, deferred } from "./deferred.js";
import { waitFor } from "./signals.js";

/** Lets so many through at once; the others take their turn, in order. */
export class Turns {
  #free: number;
  readonly #waiting = new Set<Deferred<void>>();

  constructor(count: number) {
    this.#free = count;
  }

  /** A turn, if one is free. */
  tryTake(): Disposable | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    return this.#turn();
  }

  /**
   * Waits for a turn; dispose it when it is over.
   *
   * @throws `signal.reason` when the signal aborts before.
   */
  async take(signal?: AbortSignal): Promise<Disposable> {
    const free = this.tryTake();
    if (free) return free;
    const turn = deferred<void>();
    this.#waiting.add(turn);
    try {
      await waitFor(turn.promise, { signal });
    } catch (error) {
      // It may have come in the same turn of the event loop.
      if (!this.#waiting.delete(turn)) this.#pass();
      throw error;
    }
    return this.#turn();
  }

  #turn(): Disposable {
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (!isOver) this.#pass();
        isOver = true;
      },
    };
  }

  #pass(): void {
    const [next] = this.#waiting;
    if (next) {
      this.#waiting.delete(next);
      next.resolve();
    } else this.#free += 1;
  }
}
