import { describe, expect, it } from "vitest";
import { growth, hourly, type Sample } from "./resources.js";

const samples = (...heaps: number[]): Sample[] =>
  heaps.map((heap, index) => ({ atMs: index * 60_000, rss: 0, heap, external: 0, handles: 0, listeners: 0 }));
const heap = (sample: Sample): number => sample.heap;

describe("hourly()", () => {
  it("is the slope of what grows", () => {
    expect(hourly(samples(10, 11, 12, 13), heap)).toBeCloseTo(60);
  });

  it("is 0 for what is flat, and for one sample", () => {
    expect(hourly(samples(10, 12, 12, 10), heap)).toBeCloseTo(0);
    expect(hourly(samples(10), heap)).toBe(0);
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
