import { fixedRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { periodMs } from "./audit.js";

describe("periodMs", () => {
  it.each([
    [0, 60_000],
    [1_000, 60_000],
    [5_000, 300_000],
    [10_000, 600_000],
    [1_000_000, 600_000],
  ])("compares %i keys every %i ms, half more or less by chance (D9)", (keys, ms) => {
    expect(periodMs(keys, 60_000, fixedRandom(0))).toBe(0.5 * ms);
    expect(periodMs(keys, 60_000, fixedRandom(0.5))).toBe(ms);
    expect(periodMs(keys, 60_000, fixedRandom(0.999_999))).toBeCloseTo(1.5 * ms, -1);
  });
});
