import { describe, expect, it } from "vitest";
import { RoundRobin } from "./picker.js";

const web = { name: "/web/", known: 4 };
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

describe("RoundRobin", () => {
  it("picks each in turn", () => {
    const picker = new RoundRobin(["a", "b", "c"], web);
    expect(times(7, () => picker.pick()).join("")).toBe("abcabca");
  });

  it.each([
    { known: 0, says: "no instance of /web/ is known" },
    { known: 2, says: "no instance of /web/ can be picked: 2 known, each of weight 0" },
  ])("throws SD_NO_INSTANCE when there is nothing to pick of $known, and says so", ({ known, says }) => {
    const picker = new RoundRobin([], { name: "/web/", known });
    let error: unknown;
    try {
      picker.pick();
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code: "SD_NO_INSTANCE", retryable: true, message: says });
  });

  it("goes on where its predecessor stood: a change before each pick favours nobody", () => {
    const candidates = ["a", "b", "c", "d"];
    const counts = new Map<string, number>();
    let picker = new RoundRobin<string>(candidates, web);
    for (let round = 0; round < 400; round++) {
      const picked = picker.pick();
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
      picker = new RoundRobin(candidates, web, picker);
    }
    expect([...counts.values()]).toEqual([100, 100, 100, 100]);
  });

  it("stays near fairness while one comes and goes", () => {
    const counts = new Map<string, number>();
    let picker: RoundRobin<string> | undefined;
    for (let round = 0; round < 900; round++) {
      picker = new RoundRobin<string>(round % 2 ? ["a", "b", "c"] : ["a", "b", "c", "x"], web, picker);
      const picked = picker.pick();
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    for (const name of ["a", "b", "c"]) expect(counts.get(name) ?? 0).toBeGreaterThan(180);
  });

  it("survives a shrinking below its place", () => {
    const wide = new RoundRobin(["a", "b", "c"], web);
    times(3, () => wide.pick());
    expect(new RoundRobin(["a"], web, wide).pick()).toBe("a");
  });
});
