import { ManualClock } from "@sd/testing";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { Schedule, type Scheduled } from "./schedule.js";

interface Item extends Scheduled {
  readonly name: number;
}

const item = (name: number): Item => ({ name, dueAt: 0, heapIndex: -1 });

/** A schedule that writes down what it serves, and when. */
function scheduleOf(slackMs = 0, onDue?: (item: Item) => void) {
  const clock = new ManualClock();
  const served: [at: number, name: number][] = [];
  const schedule = new Schedule<Item>(clock, slackMs, (due) => {
    served.push([clock.now(), due.name]);
    onDue?.(due);
  });
  return { clock, served, schedule };
}

type Step =
  | { readonly do: "set"; readonly name: number; readonly inMs: number }
  | { readonly do: "delete"; readonly name: number }
  | { readonly do: "advance"; readonly ms: number };

const name = fc.nat({ max: 7 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("set"), name, inMs: fc.nat({ max: 50 }) }) },
  fc.record({ do: fc.constant("delete"), name }),
  fc.record({ do: fc.constant("advance"), ms: fc.nat({ max: 30 }) }),
);

describe("Schedule", () => {
  it("serves as a sorted list would, on one timer", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, served, schedule } = scheduleOf();
        const items = Array.from({ length: 8 }, (_, name) => item(name));
        const model = new Map<number, number>();
        for (const each of [...steps, { do: "advance", ms: 100 } as const]) {
          if (each.do === "advance") {
            const until = clock.now() + each.ms;
            const due = [...model].filter(([, at]) => at <= until).sort(([, a], [, b]) => a - b);
            for (const [name] of due) model.delete(name);
            served.length = 0;
            await clock.advance(each.ms);
            expect(served.map(([at]) => at)).toEqual(due.map(([, at]) => at));
            expect(new Set(served.map(String))).toEqual(new Set(due.map(([name, at]) => `${at},${name}`)));
          } else if (each.do === "set") {
            model.set(each.name, clock.now() + each.inMs);
            schedule.set(items[each.name] as Item, clock.now() + each.inMs);
          } else {
            model.delete(each.name);
            schedule.delete(items[each.name] as Item);
          }
          expect(schedule.size).toBe(model.size);
          expect(clock.pending).toBeLessThanOrEqual(1);
        }
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("serves early, by the slack at most, what falls due soon after the first", async () => {
    const { clock, served, schedule } = scheduleOf(50);
    for (const [name, dueAt] of [100, 120, 150, 151].entries()) schedule.set(item(name), dueAt);
    await clock.advance(99);
    expect(served).toEqual([]);
    await clock.advance(100);
    expect(served).toEqual([
      [100, 0],
      [100, 1],
      [100, 2],
      [151, 3],
    ]);
  });

  it("wakes once for what was put off, and not when it was due before", async () => {
    const { clock, served, schedule } = scheduleOf(50);
    const timers = vi.spyOn(clock, "setTimer");
    const [putOff, littleLater] = [item(0), item(1)];
    schedule.set(putOff, 100);
    schedule.set(putOff, 500);
    await clock.advance(499);
    expect(timers.mock.calls.map(([delayMs]) => delayMs)).toEqual([100, 500]);
    await clock.advance(1);
    schedule.set(littleLater, 600);
    schedule.set(littleLater, 650);
    await clock.advance(200);
    expect(served).toEqual([
      [500, 0],
      [600, 1],
    ]);
    expect(timers).toHaveBeenCalledTimes(3);
  });

  it("comes to an end when one served early insists on its time", async () => {
    const insistent = item(1);
    const { clock, served, schedule } = scheduleOf(50, (due) => {
      if (due === insistent && clock.now() < 130 && served.length < 10) schedule.set(due, 130);
    });
    schedule.set(item(0), 100);
    schedule.set(insistent, 130);
    await clock.advance(200);
    expect(served).toEqual([
      [100, 0],
      [100, 1],
      [130, 1],
    ]);
  });

  it("does not serve what is taken out, moved or cleared while others are served", async () => {
    const [first, gone, moved] = [item(0), item(1), item(2)];
    const { clock, served, schedule } = scheduleOf(50, (due) => {
      if (due !== first) return;
      schedule.delete(gone);
      schedule.set(moved, 500);
    });
    for (const each of [first, gone, moved]) schedule.set(each, 100);
    await clock.advance(1_000);
    expect(served).toEqual([
      [100, 0],
      [500, 2],
    ]);
    const cleared = scheduleOf(50, () => cleared.schedule.clear());
    cleared.schedule.set(item(0), 10);
    cleared.schedule.set(item(1), 11);
    await cleared.clock.advance(100);
    expect(cleared.served).toEqual([[10, 0]]);
    expect(cleared.clock.pending).toBe(0);
  });

  it("serves the others, and goes on, after one throws", async () => {
    const { clock, served, schedule } = scheduleOf(50, ({ name }) => {
      if (name === 0) throw new Error("on purpose");
    });
    for (const [name, dueAt] of [100, 110, 120].entries()) schedule.set(item(name), dueAt);
    schedule.set(item(3), 500);
    await expect(clock.advance(100)).rejects.toThrow("on purpose");
    await clock.advance(1_000);
    expect(served.map(([, name]) => name)).toEqual([0, 1, 2, 3]);
    expect([schedule.size, clock.pending]).toEqual([0, 0]);
  });

  it("leaves no timer once it is empty", () => {
    const { clock, schedule } = scheduleOf();
    const only = item(0);
    schedule.set(only, 100);
    schedule.delete(only);
    schedule.delete(only);
    expect([schedule.size, clock.pending]).toEqual([0, 0]);
    schedule.set(only, 100);
    schedule.clear();
    expect([schedule.size, clock.pending, only.heapIndex]).toEqual([0, 0, -1]);
  });
});
