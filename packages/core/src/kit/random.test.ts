import { fixedRandom, SeededRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { shuffle, systemRandom, uniform } from "./random.js";

describe("systemRandom", () => {
  it("makes lease ids of 63 bits: never negative, and different (R6)", () => {
    const ids = Array.from({ length: 1_000 }, () => systemRandom.nextId());
    expect(ids.every((id) => id >= 0n && id < 1n << 63n)).toBe(true);
    expect(new Set(ids).size).toBe(1_000);
    expect(ids.some((id) => id >= 1n << 61n)).toBe(true);
  });
});

describe("uniform", () => {
  it("spreads from the low bound up to the high one", () => {
    expect(uniform(fixedRandom(0), 5, 15)).toBe(5);
    expect(uniform(fixedRandom(0.5), 5, 15)).toBe(10);
  });
});

describe("shuffle", () => {
  it("gives every order of three its chance, and leaves the original alone", () => {
    const random = new SeededRandom(1);
    const items = Object.freeze(["a", "b", "c"]);
    const orders = Array.from({ length: 200 }, () => shuffle(random, items).join(""));
    expect(new Set(orders)).toEqual(new Set(["abc", "acb", "bac", "bca", "cab", "cba"]));
  });
});
