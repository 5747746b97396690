import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { liveTimers, settled } from "../../test/observe.js";
import { holdProcess, sleep, systemClock } from "./clock.js";

describe("sleep", () => {
  it("resolves once its time has come, not before", async () => {
    const clock = new ManualClock();
    const slept = settled(sleep(clock, 100));
    await clock.advance(99);
    expect(slept.status).toBe("pending");
    await clock.advance(1);
    expect(slept.status).toBe("resolved");
  });

  it("rejects with the signal's reason at once, and leaves neither timer nor listener", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const slept = settled(sleep(clock, 100, controller.signal));
    expect(clock.pending).toBe(1);
    const reason = new Error("enough");
    controller.abort(reason);
    await clock.settle();
    expect(slept).toMatchObject({ status: "rejected", reason });
    expect(clock.pending).toBe(0);
  });

  it("does not begin on a signal that has aborted", async () => {
    const clock = new ManualClock();
    const reason = new Error("before");
    await expect(sleep(clock, 100, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });
});

describe("systemClock", () => {
  it("never holds the process", () => {
    const before = liveTimers();
    using _timer = systemClock.setTimer(2 ** 40, () => {});
    expect(liveTimers()).toBe(before);
  });

  it("never decreases", () => {
    const first = systemClock.now();
    expect(systemClock.now()).toBeGreaterThanOrEqual(first);
  });
});

describe("holdProcess", () => {
  it("holds the process until disposed", () => {
    const before = liveTimers();
    const hold = holdProcess();
    expect(liveTimers()).toBe(before + 1);
    hold[Symbol.dispose]();
    expect(liveTimers()).toBe(before);
  });
});
