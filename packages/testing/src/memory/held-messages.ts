interface Held {
  readonly stream: object;
  readonly deliver: () => void;
}

/** Watch messages kept back until a test lets them go, in the order in which etcd sent them. */
export class HeldMessages {
  readonly #held: Held[] = [];
  #isHolding = false;

  get size(): number {
    return this.#held.length;
  }

  hold(): void {
    this.#isHolding = true;
  }

  /** Keeps a message if it must be kept: it has events, or follows on its stream one that is kept. */
  offer(stream: object, hasEvents: boolean, deliver: () => void): void {
    const isBehind = this.#held.some((held) => held.stream === stream);
    if (isBehind || (this.#isHolding && hasEvents)) this.#held.push({ stream, deliver });
    else deliver();
  }

  /** Lets the next `count` go; without `count` all, and stops holding. */
  release(count?: number): void {
    if (count === undefined) this.#isHolding = false;
    for (const { deliver } of this.#held.splice(0, count ?? this.#held.length)) deliver();
  }

  /** Forgets what was kept for a stream. */
  drop(stream: object): void {
    const kept = this.#held.filter((held) => held.stream !== stream);
    this.#held.splice(0, this.#held.length, ...kept);
  }
}
