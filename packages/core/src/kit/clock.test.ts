import { ManualClock } from "@sd/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
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
  afterEach(() => void vi.useRealTimers());

  it("never holds the process", () => {
    const before = liveTimers();
    using _timer = systemClock.setTimer(2 ** 40, () => {});
    expect(liveTimers()).toBe(before);
  });

  it("fires after months, once and not before, though Node's timers end after 24.8 days", () => {
    vi.useFakeTimers();
    const fire = vi.fn();
    const day = 86_400_000;
    using _fired = systemClock.setTimer(60 * day, fire);
    const disposed = systemClock.setTimer(60 * day, fire);
    vi.advanceTimersByTime(59 * day);
    expect(fire).not.toHaveBeenCalled();
    disposed[Symbol.dispose]();
    vi.advanceTimersByTime(day);
    expect(fire).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
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
