import type { WatchEvent } from "@sd/core";

/** Is told of each revision, before anybody is answered. */
export type RevisionListener = (revision: number, events: readonly WatchEvent[]) => void;

/** The changes of a store, oldest first, and who wants to hear of the next. */
export class EventLog {
  readonly #events: WatchEvent[] = [];
  readonly #listeners = new Set<RevisionListener>();

  /** All of them since the store began, but what `forgetBefore()` was told to forget. */
  get all(): readonly WatchEvent[] {
    return this.#events;
  }

  append(revision: number, events: readonly WatchEvent[]): void {
    for (const event of events) this.#events.push(event);
    for (const listener of [...this.#listeners]) listener(revision, events);
  }

  subscribe(listener: RevisionListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  forgetBefore(revision: number): void {
    this.#events.splice(0, this.#indexOf(revision));
  }

  /** The changes from `revision` on. */
  *from(revision: number): Generator<WatchEvent> {
    for (let index = this.#indexOf(revision); index < this.#events.length; index += 1) {
      yield this.#events[index] as WatchEvent;
    }
  }

  /** Where the first change of `revision` is, or would be. */
  #indexOf(revision: number): number {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle] as WatchEvent).kv.modRevision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
