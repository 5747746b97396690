import { Bench } from "@sd/testing";
import type { Keyed } from "../src/change.js";

/** A bench for tests of discoveries. */
export class Harness extends Bench {
  /** Several writes as one revision; `undefined` deletes. */
  async write(values: Readonly<Record<string, string | undefined>>): Promise<void> {
    this.memory.write(values);
    await this.clock.settle();
  }
}

/** The keys that a discovery shows, sorted. */
export function keysOf({
  snapshot,
}: {
  readonly snapshot: { readonly instances: readonly Keyed[] };
}): string[] {
  return snapshot.instances.map(({ key }) => key).sort();
}

/** Reads what an iterator gives without waiting, as often as asked. */
export class Reader<T> {
  readonly #bench: Harness;
  readonly #iterator: AsyncIterator<T>;
  #next: Promise<IteratorResult<T>> | undefined;

  constructor(bench: Harness, iterator: AsyncIterator<T>) {
    this.#bench = bench;
    this.#iterator = iterator;
  }

  /** The item that is being waited for, or the end. */
  get next(): Promise<IteratorResult<T>> {
    this.#next ??= this.#iterator.next();
    return this.#next;
  }

  async read(): Promise<T[]> {
    const items: T[] = [];
    for (;;) {
      const { next } = this;
      await this.#bench.clock.settle();
      const outcome = await Promise.race([next, undefined]);
      if (!outcome || outcome.done) return items;
      this.#next = undefined;
      items.push(outcome.value);
    }
  }
}
