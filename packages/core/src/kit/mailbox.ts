/** What a mailbox keeps for its reader. It decides what a slow reader loses. */
export interface Queue<News, Item = News> {
  put(news: News): void;
  /** Takes the next item out; `undefined` if there is none. */
  take(): Item | undefined;
  clear(): void;
}

/** Keeps the newest item only. */
export function newestOnly<T>(): Queue<T> {
  let newest: T | undefined;
  const take = (): T | undefined => {
    const item = newest;
    newest = undefined;
    return item;
  };
  const put = (item: T): void => {
    newest = item;
  };
  return { put, take, clear: () => void take() };
}

/**
 * One reader's box: the writer never waits, the reader gets what the queue has kept.
 *
 * It is read once, by one reader. The reading ends after `close()`, once the queue is empty. An abort of its
 * signal ends it at once, whether or not anybody reads on: the queue is emptied, and nothing is kept alive by
 * the signal. The reader that asks again then gets `signal.reason`, thrown.
 */
export class Mailbox<News, Item = News> {
  readonly #queue: Queue<News, Item>;
  #onEnd: (() => void) | undefined;
  /** Takes the listener off the reader's signal. */
  #unlink: (() => void) | undefined;
  /** Readings that wait: one, unless somebody asks for two items at once. */
  readonly #waiting: (() => void)[] = [];
  #isClosed = false;

  /** @param onEnd called once, when the reader has gone or the box is closed. */
  constructor(queue: Queue<News, Item>, onEnd?: () => void) {
    this.#queue = queue;
    this.#onEnd = onEnd;
  }

  put(news: News): void {
    if (this.#isClosed) return;
    this.#queue.put(news);
    this.#wake();
  }

  /** Ends the reading after what the queue still holds. */
  close(): void {
    this.#isClosed = true;
    this.#unlink?.();
    this.#unlink = undefined;
    this.#onEnd?.();
    this.#onEnd = undefined;
    this.#wake();
  }

  /** The reading. Nothing is read ahead: an item stays in the queue until it is asked for. */
  read(signal?: AbortSignal): AsyncIterableIterator<Item> {
    const end = (): IteratorResult<Item> => {
      this.close();
      this.#queue.clear();
      return { done: true, value: undefined };
    };
    if (signal?.aborted) end();
    else if (signal && !this.#isClosed) {
      signal.addEventListener("abort", end, { once: true });
      this.#unlink = () => signal.removeEventListener("abort", end);
    }
    const next = async (): Promise<IteratorResult<Item>> => {
      for (;;) {
        if (signal?.aborted) {
          // The signal of a closed box is not listened to.
          end();
          throw signal.reason;
        }
        const value = this.#queue.take();
        if (value !== undefined) return { done: false, value };
        if (this.#isClosed) return end();
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    };
    return {
      next,
      return: async () => end(),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }
}
