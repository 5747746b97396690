/**
 * One reader's box: the writer never waits, the reader gets what the box has kept.
 *
 * What a slow reader loses is decided by `merge`, which folds a new item into those not yet read.
 * Reading is by `for await`; it ends after `close()` once the box is empty, or when the signal aborts.
 */
export class Mailbox<T> implements AsyncIterable<T> {
  readonly #merge: (waiting: T[], item: T) => void;
  readonly #waiting: T[] = [];
  readonly #onEnd: () => void;
  #wake: (() => void) | undefined;
  #closed = false;

  /**
   * @param merge puts `item` into `waiting`, in place.
   * @param onEnd called once, when the reader has gone or the box is closed.
   */
  constructor(merge: (waiting: T[], item: T) => void, onEnd: () => void = () => {}) {
    this.#merge = merge;
    let ended = false;
    this.#onEnd = () => {
      if (ended) return;
      ended = true;
      onEnd();
    };
  }

  /** A box that keeps only the newest item. */
  static newest<T>(onEnd?: () => void): Mailbox<T> {
    return new Mailbox<T>((waiting, item) => void waiting.splice(0, waiting.length, item), onEnd);
  }

  put(item: T): void {
    if (this.#closed) return;
    this.#merge(this.#waiting, item);
    this.#wake?.();
  }

  /** Ends the reading after what is waiting. */
  close(): void {
    this.#closed = true;
    this.#onEnd();
    this.#wake?.();
  }

  /** Reads until closed; with `signal`, until it aborts (then the reading throws `signal.reason`). */
  async *read(signal?: AbortSignal): AsyncGenerator<T, void, void> {
    const onAbort = (): void => this.#wake?.();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.#waiting.length > 0) {
          yield this.#waiting.shift() as T;
          continue;
        }
        if (this.#closed) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#closed = true;
      this.#waiting.length = 0;
      this.#onEnd();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    return this.read();
  }
}
