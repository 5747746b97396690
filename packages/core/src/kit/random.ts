import { randomFillSync } from "node:crypto";

/** The only source of chance. Tests inject a seeded one. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An integer in [0, 2^63), for ids that must not collide between processes. */
  nextId(): bigint;
}

/** Chance that differs between processes started in the same instant. */
export const systemRandom: Random = {
  next: () => Math.random(),
  nextId: () => (randomFillSync(new BigUint64Array(1))[0] ?? 0n) >> 1n,
};

/** A number in [low, high), evenly spread. */
export function uniform(random: Random, low: number, high: number): number {
  return low + random.next() * (high - low);
}

/** A copy of `items` in random order. */
export function shuffle<T>(random: Random, items: readonly T[]): T[] {
  const order = items.map((item) => ({ item, rank: random.next() }));
  return order.sort((a, b) => a.rank - b.rank).map(({ item }) => item);
}
