import { describe, expect, it } from "vitest";
import { once } from "./deferred.js";

describe("once", () => {
  it("runs the work at the first call, and gives all the same promise, also from within the work", async () => {
    let runs = 0;
    const inner: Promise<number>[] = [];
    const work = once(async () => {
      runs += 1;
      inner.push(work());
      return runs;
    });
    expect(runs).toBe(0);
    const first = work();
    expect([work(), ...inner].every((promise) => promise === first)).toBe(true);
    expect([await first, runs]).toEqual([1, 1]);
  });

  it("fails for all if the work does", async () => {
    const work = once(() => Promise.reject(new Error("no")));
    await expect(work()).rejects.toThrow("no");
    await expect(work()).rejects.toThrow("no");
  });
});
