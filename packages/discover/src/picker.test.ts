import type { Random } from "@sd/core";
import { fixedRandom, SeededRandom } from "@sd/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Balancer, balancer, type Picker } from "./picker.js";

interface Item {
  readonly key: string;
  readonly modRevision: number;
  readonly weight: number;
}

const item = (key: string, weight = 1): Item => ({ key, weight, modRevision: 1 });
const pickerOf = (
  name: Balancer,
  items: readonly Item[],
  random: Random = new SeededRandom(1),
): Picker<Item> => {
  const picker = balancer<Item>(name, ({ weight }) => weight)(random);
  for (const each of items) picker.add(each);
  return picker;
};
const picks = (picker: Picker<Item>, count: number): string[] =>
  Array.from({ length: count }, () => picker.take()?.key ?? "-");
const sharesOf = (keys: readonly string[]): Record<string, number> => {
  const shares: Record<string, number> = {};
  for (const key of keys) shares[key] = (shares[key] ?? 0) + 1;
  return shares;
};
const names: readonly Balancer[] = ["round-robin", "random", "weighted"];

describe.each(names)("the picker %s", (name) => {
  it("has nothing to pick of nothing", () => {
    const picker = pickerOf(name, [item("a")]);
    picker.delete(item("a"));
    picker.delete(item("b"));
    expect(picks(picker, 2)).toEqual(["-", "-"]);
  });

  it("picks those that are there, in their newest form, whoever comes and goes", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(..."abcdef"), fc.nat({ max: 3 }), fc.nat({ max: 4 })));
    fc.assert(
      fc.property(steps, (list) => {
        const picker = pickerOf(name, []);
        const there = new Map<string, Item>();
        for (const [key, weight, count] of list) {
          const candidate = item(key, weight);
          if (weight > 0) {
            if (there.has(key) || count % 2 === 0) picker.put(candidate);
            else picker.add(candidate);
            there.set(key, candidate);
          } else {
            picker.delete(candidate);
            there.delete(key);
          }
          for (let i = 0; i < count; i++) {
            const picked = picker.take();
            expect(picked).toBe(there.get(picked?.key ?? ""));
            expect(picked === undefined).toBe(there.size === 0);
          }
        }
        // Each of them within a bounded number of picks: nobody is lost.
        expect(new Set(picks(picker, name === "random" ? 500 : 40)).size).toBe(Math.max(1, there.size));
      }),
    );
  });
});

describe("the picker round-robin", () => {
  it("picks each in turn", () => {
    const picker = pickerOf(
      "round-robin",
      ["a", "b", "c"].map((key) => item(key)),
    );
    expect(picks(picker, 7).join("")).toBe("abcabca");
  });

  it("lets nobody wait longer for those who leave", () => {
    const picker = pickerOf(
      "round-robin",
      [..."abcdef"].map((key) => item(key)),
    );
    expect(picks(picker, 4).join("")).toBe("abcd");
    picker.delete(item("c"));
    expect(picks(picker, 2).sort().join("")).toBe("ef");
    expect(picks(picker, 5).sort().join("")).toBe("abdef");
  });

  it("lets one that comes have its turn in the same round", () => {
    const picker = pickerOf("round-robin", [item("a"), item("b")]);
    picks(picker, 1);
    picker.put(item("c"));
    expect(picks(picker, 5).join("")).toBe("bcabc");
  });
});

describe("the picker random", () => {
  it("picks from where chance has put it, all as likely", () => {
    const items = [..."abcd"].map((key) => item(key, 5));
    const from = (start: number): string[] => picks(pickerOf("random", items, fixedRandom(start)), 20);
    expect(from(0.25)).toEqual(from(0.25));
    expect(from(0.25)).not.toEqual(from(0.75));
    expect(new Set(from(0)).size, "even from 0").toBeGreaterThan(2);
    for (const share of Object.values(sharesOf(picks(pickerOf("random", items), 4_000)))) {
      expect(Math.abs(share - 1_000)).toBeLessThan(120);
    }
  });
});

describe("the picker weighted", () => {
  it("gives each the share of its weight", () => {
    const picker = pickerOf("weighted", [item("a", 5), item("b", 3), item("c", 3), item("d", 0.5)]);
    expect(sharesOf(picks(picker, 230))).toEqual({ a: 100, b: 60, c: 60, d: 10 });
  });

  it.each([0.001, 1e-12, 1e-300, Number.MIN_VALUE])(
    "is as fair after one of weight %d was alone for long (D13)",
    (weight) => {
      const picker = pickerOf("weighted", [item("alone", weight)]);
      picks(picker, 10_000);
      for (const each of [item("a", 2_000_000), item("b", 1_000_000)]) picker.put(each);
      const { a = 0, b = 0, alone = 0 } = sharesOf(picks(picker, 3_001));
      expect([Math.round(a / 100), Math.round(b / 100)]).toEqual([20, 10]);
      expect(alone).toBeLessThanOrEqual(1);
      picker.delete(item("a"));
      picker.put(item("c", 1_000_000));
      expect(sharesOf(picks(picker, 1_000))).toMatchObject({ b: 500, c: 500 });
    },
  );

  it("spreads the turns", () => {
    const picker = pickerOf("weighted", [item("a", 5), item("b", 1), item("c", 1)]);
    const order = picks(picker, 70).join("");
    expect(order).not.toMatch(/a{4}|[bc]{3}/);
    expect(order).not.toMatch(/b[^b]{9}|c[^c]{9}/);
  });

  it("gives the share of the new weight from the change on", () => {
    const picker = pickerOf("weighted", [item("a", 1), item("b", 1)]);
    picks(picker, 10);
    picker.put(item("b", 9));
    expect(sharesOf(picks(picker, 100))).toEqual({ a: 10, b: 90 });
  });

  it("does not favour one that comes late, nor make it wait", () => {
    const picker = pickerOf("weighted", [item("a", 1)]);
    picks(picker, 1_000);
    picker.put(item("b", 2));
    const shares = sharesOf(picks(picker, 30));
    expect(Math.abs((shares["b"] ?? 0) - 20)).toBeLessThanOrEqual(1);
  });
});

describe("balancer()", () => {
  it("refuses a name that it does not know", () => {
    expect(() => balancer("fastest" as Balancer, () => 1)).toThrow(
      'balancer must be round-robin, random or weighted, got "fastest"',
    );
  });
});
