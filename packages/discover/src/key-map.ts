/**
 * So many keys of a list share a map: what it leads to, their texts included, stays in the processor's cache while it is
 * filled. Between 512 and 4,096 no difference could be measured.
 */
const RANGE_KEYS = 1_024;

/**
 * A map by key, made for keys that come in their order, as etcd lists them: 0.11 µs a key of 100,000, in a `Map` 0.66.
 * Any other order is right too, at about twice the time of a `Map`, and what an event does at a third more (0.66 instead
 * of 0.50 µs).
 *
 * It is made of maps, each for a range of keys. In a single one each key leads to memory that was not in use for
 * long, and all are copied whenever it doubles. With few keys it is a `Map` and 160 bytes.
 */
export class KeyMap<T> {
  /** Where each range begins; it ends where the next does. */
  readonly #starts: string[] = [""];
  readonly #ranges: Map<string, T>[] = [new Map()];
  /** No key is greater, or was. */
  #greatest = "";
  #size = 0;
  /** Where the key belongs that was looked for last: most of the next ones do, too. */
  #place = 0;

  get size(): number {
    return this.#size;
  }

  has(key: string): boolean {
    return this.#rangeOf(key).has(key);
  }

  get(key: string): T | undefined {
    return this.#rangeOf(key).get(key);
  }

  set(key: string, value: T): void {
    if (key > this.#greatest) this.#extendTo(key);
    const range = this.#rangeOf(key);
    const before = range.size;
    range.set(key, value);
    this.#size += range.size - before;
  }

  /** @returns whether it was there. */
  delete(key: string): boolean {
    const place = this.#placeOf(key);
    const range = this.#ranges[place] as Map<string, T>;
    if (!range.delete(key)) return false;
    this.#size -= 1;
    // Where new keys are always greater, empty ranges would become more and more.
    if (range.size === 0 && place > 0) {
      this.#starts.splice(place, 1);
      this.#ranges.splice(place, 1);
      this.#place = 0;
    }
    return true;
  }

  /** All keys, in no particular order. */
  keys(): string[] {
    const keys: string[] = [];
    for (const range of this.#ranges) for (const key of range.keys()) keys.push(key);
    return keys;
  }

  /** In the order of `keys()`. */
  values(): T[] {
    const values: T[] = [];
    for (const range of this.#ranges) for (const value of range.values()) values.push(value);
    return values;
  }

  *[Symbol.iterator](): Generator<[string, T], void, void> {
    for (const range of this.#ranges) yield* range;
  }

  /** Makes room for a key that is greater than all. */
  #extendTo(key: string): void {
    this.#greatest = key;
    if ((this.#ranges.at(-1) as Map<string, T>).size < RANGE_KEYS) return;
    this.#starts.push(key);
    this.#ranges.push(new Map());
  }

  #rangeOf(key: string): Map<string, T> {
    return this.#ranges[this.#placeOf(key)] as Map<string, T>;
  }

  #placeOf(key: string): number {
    const starts = this.#starts;
    let place = this.#place;
    let after = place + 1;
    if (key < (starts[place] as string) || (after < starts.length && key >= (starts[after] as string))) {
      place = 0;
      after = starts.length;
      while (after - place > 1) {
        const middle = (place + after) >> 1;
        if (key < (starts[middle] as string)) after = middle;
        else place = middle;
      }
      this.#place = place;
    }
    return place;
  }
}
