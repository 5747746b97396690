import { invalidArgument, type Random } from "@sd/core";

/**
 * Chance that is the same for the same seed, on every machine and in every version of Node.
 *
 * The generator is sfc32, started by splitmix32. `nextId()` is never 0. Not for secrets.
 */
export class SeededRandom implements Random {
  /** What to print when a test fails. */
  readonly seed: number;
  readonly #state: [number, number, number, number];

  /** @param seed an integer; its lower 32 bits count. */
  constructor(seed: number) {
    // Of a text would become 0, so that all of them were one.
    if (!Number.isInteger(seed)) throw invalidArgument("seed", "an integer", seed);
    this.seed = seed;
    let mix = seed | 0;
    const word = (): number => {
      mix = (mix + 0x9e3779b9) | 0;
      let value = mix ^ (mix >>> 16);
      value = Math.imul(value, 0x21f0aaad);
      value ^= value >>> 15;
      value = Math.imul(value, 0x735a2d97);
      return value ^ (value >>> 15);
    };
    this.#state = [word(), word(), word(), 1];
    for (let step = 0; step < 12; step += 1) this.#word();
  }

  next(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  nextId(): bigint {
    const id = (BigInt(this.#word()) << 31n) | BigInt(this.#word() >>> 1);
    return id === 0n ? 1n : id;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  #word(): number {
    let [a, b, c, count] = this.#state;
    const sum = (a + b + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    this.#state[0] = a;
    this.#state[1] = b;
    this.#state[2] = c;
    this.#state[3] = count;
    return sum >>> 0;
  }
}

/** Chance without chance: `next()` is always `value` (in [0, 1)); ids count up from 1. */
export function fixedRandom(value: number): Random {
  if (!(value >= 0 && value < 1)) throw invalidArgument("value", "a number from 0 to below 1", value);
  let lastId = 0n;
  return {
    next: () => value,
    nextId: () => {
      lastId += 1n;
      return lastId;
    },
  };
}
