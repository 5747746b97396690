import { describe, expect, it } from "vitest";
import { growth, hourly, type Sample } from "./resources.js";

const samples = (...heaps: number[]): Sample[] =>
  heaps.map((heap, index) => ({
    atMs: index * 60_000,
    rss: 0,
    heap,
    committed: 0,
    external: 0,
    connections: 0,
    handles: 0,
    timers: 0,
    listeners: 0,
  }));
const heap = (sample: Sample): number => sample.heap;

describe("hourly()", () => {
  it("is the slope of what grows", () => {
    const { perHour, error } = hourly(samples(10, 11, 12, 13), heap);
    expect([perHour, error]).toEqual([expect.closeTo(60), expect.closeTo(0)]);
  });

  it("is 0 for what is flat, and for one sample", () => {
    expect(hourly(samples(10, 12, 12, 10), heap).perHour).toBeCloseTo(0);
    expect(hourly(samples(10), heap).perHour).toBe(0);
  });
});

describe("hourly(), as for its error", () => {
  it("grows with the scatter, and is without bound for two samples", () => {
    // y = 10, 12, 12, 10: residuals of 1 each, so s² = 4 / 2, over Σ(x - x̄)² = 5 minutes².
    expect(hourly(samples(10, 12, 12, 10), heap).error).toBeCloseTo(Math.sqrt(2 / 5) * 60);
    expect(hourly(samples(10, 12), heap).error).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("growth()", () => {
  it("is not misled by one sample that stands out", () => {
    expect(growth(samples(10, 10, 10, 50, 10, 10, 10, 99, 10), heap)).toBe(0);
  });

  it("finds what grows", () => {
    expect(growth(samples(1, 2, 3, 4, 5, 6, 7, 8, 9), heap)).toBe(6);
  });
});
