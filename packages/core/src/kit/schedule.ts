import type { Clock, Timer } from "./clock.js";

/** Something that can be due. The two fields belong to the schedule; others only declare them. */
export interface Scheduled {
  dueAt: number;
  /** Place in the heap; -1 when not scheduled, -2 when about to be served. */
  heapIndex: number;
}

/**
 * Many due times on one timer: a binary heap.
 *
 * `onDue` is called for each item once its time has come, in order of time, with the item already taken
 * out. An item may be served up to `slackMs` early, so that many go together: ten thousand leases wake the process a
 * few times a second, not ten thousand times. An `onDue` that throws does not keep the others from being served.
 */
export class Schedule<T extends Scheduled> {
  readonly #heap: T[] = [];
  readonly #clock: Clock;
  readonly #slackMs: number;
  readonly #onDue: (item: T) => void;
  /** Taken out together, and served one by one. */
  readonly #due: T[] = [];
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #serving = false;

  constructor(clock: Clock, slackMs: number, onDue: (item: T) => void) {
    this.#clock = clock;
    this.#slackMs = slackMs;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Schedules `item` at `dueAt`, replacing the time it had. */
  set(item: T, dueAt: number): void {
    item.dueAt = dueAt;
    if (item.heapIndex < 0) {
      item.heapIndex = this.#heap.length;
      this.#heap.push(item);
    }
    this.#siftDown(this.#siftUp(item));
    this.#arm();
  }

  /** Takes `item` out, if it is in. */
  delete(item: T): void {
    if (item.heapIndex >= 0) this.#remove(item);
    item.heapIndex = -1;
    this.#arm();
  }

  clear(): void {
    for (const item of [...this.#heap, ...this.#due]) item.heapIndex = -1;
    this.#heap.length = 0;
    this.#arm();
  }

  #arm(): void {
    if (this.#serving) return;
    const at = this.#heap[0]?.dueAt ?? Number.POSITIVE_INFINITY;
    // The timer serves whatever is due within the slack: cheaper than another timer for each change.
    if (this.#timer && this.#timerAt <= at && at <= this.#timerAt + this.#slackMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.setTimer(at - this.#clock.now(), () => this.#serve());
  }

  #serve(): void {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const until = this.#clock.now() + this.#slackMs;
    // All are taken out first: one that was served early and insists on its time is not served again now.
    for (let item = this.#heap[0]; item && item.dueAt <= until; item = this.#heap[0]) {
      this.#remove(item);
      item.heapIndex = -2;
      this.#due.push(item);
    }
    this.#serveDue();
  }

  #serveDue(): void {
    this.#serving = true;
    try {
      for (const item of this.#due) {
        if (item.heapIndex !== -2) continue;
        item.heapIndex = -1;
        this.#onDue(item);
      }
    } finally {
      this.#serving = false;
      // After a throw the others are still due: the next timer serves them.
      for (const item of this.#due.splice(0)) if (item.heapIndex === -2) this.set(item, item.dueAt);
      this.#arm();
    }
  }

  #remove(item: T): void {
    const index = item.heapIndex;
    const last = this.#heap.pop() as T;
    item.heapIndex = -1;
    if (last === item) return;
    this.#heap[index] = last;
    last.heapIndex = index;
    this.#siftDown(this.#siftUp(last));
  }

  #siftUp(item: T): T {
    let index = item.heapIndex;
    while (index > 0) {
      const parent = this.#heap[(index - 1) >> 1] as T;
      if (parent.dueAt <= item.dueAt) break;
      this.#place(parent, index);
      index = (index - 1) >> 1;
    }
    this.#place(item, index);
    return item;
  }

  #siftDown(item: T): void {
    let index = item.heapIndex;
    for (;;) {
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      const least = right && left && right.dueAt < left.dueAt ? right : left;
      if (!least || least.dueAt >= item.dueAt) break;
      const next = least.heapIndex;
      this.#place(least, index);
      index = next;
    }
    this.#place(item, index);
  }

  #place(item: T, index: number): void {
    this.#heap[index] = item;
    item.heapIndex = index;
  }
}
