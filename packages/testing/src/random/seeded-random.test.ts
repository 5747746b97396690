import { describe, expect, it } from "vitest";
import { fixedRandom, SeededRandom } from "./seeded-random.js";

describe("SeededRandom", () => {
  it("repeats itself for the same seed and differs for another", () => {
    const draw = (seed: number) => {
      const random = new SeededRandom(seed);
      return [random.next(), random.nextId(), random.below(1000)];
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it("stays the same in every release", () => {
    const random = new SeededRandom(1);
    expect([random.next(), random.nextId()]).toMatchInlineSnapshot(`
      [
        0.5636717720710586,
        8263287189264374417n,
      ]
    `);
  });

  it("is evenly spread over [0, 1)", () => {
    const random = new SeededRandom(42);
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < 10_000; draw += 1) {
      const bucket = Math.floor(random.next() * 10);
      buckets[bucket] = (buckets[bucket] ?? Number.NaN) + 1;
    }
    for (const count of buckets) {
      expect(count).toBeGreaterThan(850);
      expect(count).toBeLessThan(1150);
    }
  });

  it("makes ids that are positive, below 2^63 and distinct", () => {
    const random = new SeededRandom(3);
    const ids = Array.from({ length: 10_000 }, () => random.nextId());
    expect(ids.every((id) => id > 0n && id < 2n ** 63n)).toBe(true);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.some((id) => id > 2n ** 62n)).toBe(true);
  });
});

describe("fixedRandom", () => {
  it("always draws the value, and counts ids", () => {
    const random = fixedRandom(0.5);
    expect([random.next(), random.next(), random.nextId(), random.nextId()]).toEqual([0.5, 0.5, 1n, 2n]);
  });
});
