import { sleep } from "@sd/core";
import { describe, expect, it } from "vitest";
import { ManualClock } from "./manual-clock.js";

describe("ManualClock", () => {
  it("fires timers in the order of time, then creation, each at its own time", async () => {
    const clock = new ManualClock();
    const fired: [string, number][] = [];
    const set = (name: string, delayMs: number) =>
      clock.setTimer(delayMs, () => fired.push([name, clock.now()]));
    set("late", 30);
    set("first", 10);
    set("second", 10);
    set("beyond", 31);
    await clock.advance(30);
    expect(fired).toEqual([
      ["first", 10],
      ["second", 10],
      ["late", 30],
    ]);
    expect(clock.now()).toBe(30);
    expect(clock.pending).toBe(1);
    expect(clock.nextTimerAt).toBe(31);
  });

  it("lets a chain of promises and immediates settle before the next timer", async () => {
    const clock = new ManualClock();
    const order: string[] = [];
    clock.setTimer(10, async () => {
      for (let step = 0; step < 50; step += 1) await Promise.resolve();
      await new Promise((resolve) => setImmediate(resolve));
      order.push("chain");
    });
    clock.setTimer(10, () => order.push("timer"));
    await clock.advance(10);
    expect(order).toEqual(["chain", "timer"]);
  });

  it("fires timers that were made on the way", async () => {
    const clock = new ManualClock();
    const times: number[] = [];
    const loop = async (): Promise<void> => {
      for (let step = 0; step < 4; step += 1) {
        await sleep(clock, 100);
        times.push(clock.now());
      }
    };
    const done = loop();
    await clock.advance(350);
    expect(times).toEqual([100, 200, 300]);
    await clock.advance(50);
    await done;
    expect(clock.pending).toBe(0);
  });

  it("does not fire a disposed timer", async () => {
    const clock = new ManualClock();
    const timer = clock.setTimer(5, () => expect.unreachable());
    clock.setTimer(4, () => timer[Symbol.dispose]());
    await clock.advance(10);
    timer[Symbol.dispose]();
    expect(clock.pending).toBe(0);
  });

  it("settles what is due without moving the time", async () => {
    const clock = new ManualClock();
    let fired = false;
    clock.setTimer(0, () => {
      fired = true;
    });
    clock.setTimer(1, () => expect.unreachable());
    await clock.settle();
    expect(fired).toBe(true);
    expect(clock.now()).toBe(0);
  });

  it("stops at a timer that throws, and refuses to be moved twice at once", async () => {
    const clock = new ManualClock();
    clock.setTimer(5, () => {
      throw new Error("broken");
    });
    await expect(clock.advance(10)).rejects.toThrow("broken");
    expect(clock.now()).toBe(5);
    const moving = clock.advance(1);
    await expect(clock.advance(1)).rejects.toThrow("already moving");
    await moving;
    expect(clock.now()).toBe(6);
  });

  it("refuses to go where no time is", async () => {
    const clock = new ManualClock();
    for (const ms of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expect(clock.advance(ms)).rejects.toThrow(`ms must be a number from 0, got ${ms}`);
    }
    expect(() => clock.setTimer(Number.NaN, () => {})).toThrow("delayMs must be a number, got NaN");
    expect([clock.now(), clock.pending]).toEqual([0, 0]);
  });
});
