import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Change, ChangeQueue, type Keyed } from "./change.js";

interface Item extends Keyed {
  readonly version: number;
}

const item = (key: string, version: number): Item => ({ key, version, modRevision: version });
const added = (key: string, version = 1): Change<Item> => ({ type: "added", instance: item(key, version) });
const updated = (key: string, from: number, to: number): Change<Item> => ({
  type: "updated",
  instance: item(key, to),
  previous: item(key, from),
});
const removed = (key: string, version: number, revision = 9): Change<Item> => ({
  type: "removed",
  instance: item(key, version),
  revision,
});

function takeAll(queue: ChangeQueue<Item>): Change<Item>[] {
  const changes: Change<Item>[] = [];
  for (let change = queue.take(); change; change = queue.take()) changes.push(change);
  return changes;
}

describe("ChangeQueue", () => {
  const cases: [name: string, unread: Change<Item>[], net: Change<Item>[]][] = [
    ["added, updated", [added("a", 1), updated("a", 1, 2)], [added("a", 2)]],
    ["added, removed", [added("a", 1), removed("a", 1)], []],
    ["added, removed, added", [added("a", 1), removed("a", 1), added("a", 2)], [added("a", 2)]],
    ["updated, updated", [updated("a", 1, 2), updated("a", 2, 3)], [updated("a", 1, 3)]],
    ["updated, removed", [updated("a", 1, 2), removed("a", 2)], [removed("a", 2)]],
    ["removed, added", [removed("a", 1), added("a", 2)], [updated("a", 1, 2)]],
    ["removed, added, updated", [removed("a", 1), added("a", 2), updated("a", 2, 3)], [updated("a", 1, 3)]],
    ["removed, added, removed", [removed("a", 1), added("a", 2), removed("a", 2)], [removed("a", 2)]],
  ];
  it.each(cases)("makes one of %s", (_, changes, net) => {
    const queue = new ChangeQueue<Item>();
    for (const change of changes) queue.put(change);
    expect(takeAll(queue)).toEqual(net);
    expect(queue.take()).toBeUndefined();
  });

  it("gives the keys in the order of their last change", () => {
    const queue = new ChangeQueue<Item>();
    for (const change of [added("a"), added("b"), added("c"), updated("a", 1, 2)]) queue.put(change);
    expect(takeAll(queue)).toEqual([added("b"), added("c"), added("a", 2)]);
  });

  it("holds at most one change for each key, and none after clear()", () => {
    const queue = new ChangeQueue<Item>();
    queue.put(added("a", 0));
    for (let version = 0; version < 1_000; version++) queue.put(updated("a", version, version + 1));
    queue.put(added("__proto__"));
    expect(takeAll(queue)).toEqual([added("a", 1_000), added("__proto__")]);
    queue.put(added("b"));
    queue.clear();
    expect(queue.take()).toBeUndefined();
  });

  it("leads a reader of any speed to the same end as one who reads all", () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ key: fc.constantFrom("a", "b", "c"), isPut: fc.boolean() }) },
      { weight: 1, arbitrary: fc.constant("read one" as const) },
      { weight: 1, arbitrary: fc.constant("read all" as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new ChangeQueue<Item>();
        const truth = new Map<string, Item>();
        const reader = new Map<string, Item>();
        const read = (change: Change<Item>): void => {
          const { key } = change.instance;
          // Each change fits what the reader knows: it never hears twice of a birth, nor of a stranger's end.
          expect(reader.has(key)).toBe(change.type !== "added");
          if (change.type === "updated") expect(change.previous).toEqual(reader.get(key));
          if (change.type === "removed") reader.delete(key);
          else reader.set(key, change.instance);
        };
        let version = 0;
        for (const next of steps) {
          if (next === "read all") for (const change of takeAll(queue)) read(change);
          else if (next === "read one") {
            const change = queue.take();
            if (change) read(change);
          } else {
            const before = truth.get(next.key);
            const instance = item(next.key, ++version);
            if (!next.isPut && !before) continue;
            if (!next.isPut) queue.put(removed(next.key, before?.version ?? 0));
            else if (before) queue.put({ type: "updated", instance, previous: before });
            else queue.put({ type: "added", instance });
            if (next.isPut) truth.set(next.key, instance);
            else truth.delete(next.key);
          }
        }
        for (const change of takeAll(queue)) read(change);
        expect(Object.fromEntries(reader)).toEqual(Object.fromEntries(truth));
      }),
      { numRuns: 1_000 },
    );
  });
});
