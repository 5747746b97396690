import { fixedRandom, SeededRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { Backoff } from "./backoff.js";

/** The ceilings of the first `count` delays. */
function ceilings(backoff: Backoff, count: number): number[] {
  const almostOne = fixedRandom(1 - Number.EPSILON);
  const delays: number[] = [];
  for (let step = backoff; delays.length < count; step = step.next()) {
    delays.push(Math.round(step.delayMs(almostOne)));
  }
  return delays;
}

describe("Backoff", () => {
  it("doubles its ceiling from the base up to the cap", () => {
    expect(ceilings(Backoff.start(), 8)).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect(ceilings(Backoff.start({ baseMs: 500, capMs: 1_500 }), 4)).toEqual([500, 1000, 1500, 1500]);
    expect(ceilings(Backoff.start({ baseMs: 500, factor: 6 }), 3)).toEqual([500, 3000, 5000]);
  });

  it("stays at the cap however often it fails", () => {
    let backoff = Backoff.start();
    for (let failures = 0; failures < 5_000; failures += 1) backoff = backoff.next();
    expect(backoff.step).toBe(5_000);
    expect(ceilings(backoff, 1)).toEqual([5_000]);
  });

  it("spreads the delay over the whole range down to 0 (R17)", () => {
    const random = new SeededRandom(1);
    const backoff = Backoff.start({ baseMs: 100 });
    const tenths = new Set<number>();
    for (let tries = 0; tries < 1_000; tries += 1) tenths.add(Math.floor(backoff.delayMs(random) / 10));
    expect([...tenths].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("is a value: `next()` leaves it as it was", () => {
    const first = Backoff.start();
    expect(first.next().step).toBe(1);
    expect(first.step).toBe(0);
  });
});
