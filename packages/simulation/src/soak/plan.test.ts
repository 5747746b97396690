import { SeededRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { drawStorm } from "./plan.js";

const LENGTH_MS = 50_000;

describe("drawStorm()", () => {
  it("is the same for the same seed, and another for another", () => {
    const [one, again, other] = [7, 7, 8].map((seed) => drawStorm(new SeededRandom(seed), LENGTH_MS));
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
  });

  it("has a fault every 2 to 10 seconds, and ends with one that hits everybody", () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const steps = drawStorm(new SeededRandom(seed), LENGTH_MS);
      for (const { afterMs } of steps) {
        expect(afterMs).toBeGreaterThanOrEqual(2_000);
        expect(afterMs).toBeLessThan(10_000);
      }
      expect(steps.at(-1)?.kind).toMatch(/-all$|-majority$|-everywhere$/);
    }
  });

  it("begins with a tarpit, or a half-open link, in turn", () => {
    const first = (number: number) => drawStorm(new SeededRandom(1), LENGTH_MS, { number })[0]?.kind;
    expect([0, 1, 2, 3].map(first)).toEqual(["tarpit", "black-hole-down", "black-hole-both", "tarpit"]);
  });

  it("ends the first one with the longest cut of all", () => {
    const last = (number: number) => drawStorm(new SeededRandom(2), LENGTH_MS, { number }).at(-1);
    expect(last(0)).toMatchObject({ kind: "black-hole-everywhere", forMs: 32_000 });
    expect(last(1)?.forMs).toBeLessThan(32_000);
  });

  it.each([
    [false, 38],
    [true, 45],
  ])("draws every kind sooner or later, secure %s: %d", (isSecure, count) => {
    const random = new SeededRandom(1);
    const kinds = new Set(
      Array.from({ length: 200 }, () => drawStorm(random, LENGTH_MS, { isSecure }))
        .flat()
        .map(({ kind }) => kind),
    );
    expect(kinds.size).toBe(count);
  });
});
