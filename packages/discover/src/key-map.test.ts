import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { KeyMap } from "./key-map.js";

const sorted = (entries: Iterable<[string, number]>): [string, number][] =>
  [...entries].sort(([one], [other]) => (one < other ? -1 : 1));
const keyOf = (index: number): string => `/web/${String(index).padStart(6, "0")}`;

describe("KeyMap", () => {
  it("holds what a Map does, in whichever order keys come and go", () => {
    const step = fc.record({
      from: fc.nat(6_000),
      count: fc.nat(3_000),
      by: fc.constantFrom(-1, 1),
      isDelete: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        const map = new KeyMap<number>();
        const model = new Map<string, number>();
        for (const [value, { from, count, by, isDelete }] of steps.entries()) {
          for (let nth = 0; nth < count; nth += 1) {
            const key = keyOf(10_000 + from + by * nth);
            if (isDelete) {
              if (map.delete(key) !== model.delete(key))
                expect.fail(`wrong answer to the deletion of ${key}`);
            } else {
              map.set(key, value);
              model.set(key, value);
            }
          }
          expect(map.size).toBe(model.size);
          expect(sorted(map)).toEqual(sorted(model));
          const values = map.values();
          expect(map.keys().map((key, at) => [key, values[at]])).toEqual([...map]);
          const some = ["", ...Array.from({ length: 90 }, (_, at) => keyOf(7_000 + at * 137))];
          expect(some.map((key) => map.get(key))).toEqual(some.map((key) => model.get(key)));
          expect(some.map((key) => map.has(key))).toEqual(some.map((key) => model.has(key)));
        }
      }),
      { numRuns: 40 },
    );
  });

  it("keeps nothing of keys that are gone, where new ones are always greater", () => {
    const map = new KeyMap<number>();
    for (let at = 0; at < 100_000; at += 1) {
      map.set(keyOf(at), at);
      if (at >= 5_000) map.delete(keyOf(at - 5_000));
    }
    expect(map.size).toBe(5_000);
    const looks = vi.spyOn(Map.prototype, "values");
    expect(map.values()).toHaveLength(5_000);
    const { length } = looks.mock.calls;
    expect(length).toBeGreaterThan(2);
    expect(length).toBeLessThan(10);
    looks.mockRestore();
  });
});
