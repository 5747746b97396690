/** What is done to the bytes of one direction. */
export interface LaneFault {
  readonly isBlackholed: boolean;
  readonly isEnded: boolean;
  readonly isSliced: boolean;
  readonly delayMs: number;
  /** Each chunk waits up to so much longer. */
  readonly jitterMs: number;
  /** Of all connections together; `Infinity`: no limit. */
  readonly bytesPerSecond: number;
}

const NO_FAULT: LaneFault = {
  isBlackholed: false,
  isEnded: false,
  isSliced: false,
  delayMs: 0,
  jitterMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
};

/** What a limited link may send at once after a pause: timers are late, and the rate is to be met all the same. */
const BURST_MS = 50;

/** The faults of one direction, which all its lanes share. */
export class Conditions {
  readonly #listeners = new Set<() => void>();
  #fault = NO_FAULT;
  /** When the link has sent all that it was given. */
  #freeAt = 0;

  get fault(): LaneFault {
    return this.#fault;
  }

  change(changes: Partial<LaneFault>): void {
    this.#fault = { ...this.#fault, ...changes };
    this.#freeAt = 0;
    for (const listener of [...this.#listeners]) listener();
  }

  clear(): void {
    this.change(NO_FAULT);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Gives the link `bytes` to send at its rate; returns when, by `performance.now()`, it has sent them. */
  reserve(bytes: number): number {
    const begin = Math.max(this.#freeAt, performance.now() - BURST_MS);
    this.#freeAt = begin + (bytes / this.#fault.bytesPerSecond) * 1_000;
    return this.#freeAt;
  }
}
