import { getEventListeners } from "node:events";
import { ManualClock } from "@sd/testing";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { settled } from "../../test/observe.js";
import { deferred } from "./deferred.js";
import { linkSignals, sleep, waitFor } from "./signals.js";

const listeners = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

describe("linkSignals", () => {
  it("aborts with the first of its sources, and with its reason", () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const linked = linkSignals(one.signal, undefined, other.signal);
    other.abort("second");
    one.abort("first");
    expect(linked.signal.reason).toBe("second");
  });

  it("takes over the reason of a source that has aborted, and listens to none", () => {
    const { signal } = new AbortController();
    const linked = linkSignals(signal, AbortSignal.abort("before"));
    expect(linked.signal.reason).toBe("before");
    expect(listeners(signal)).toBe(0);
  });

  it("leaves no listener on a source that outlives it, whatever ended it", () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const link = () => linkSignals(one.signal, other.signal);
    const disposed = link();
    const aborted = link();
    expect([listeners(one.signal), listeners(other.signal)]).toEqual([2, 2]);
    disposed[Symbol.dispose]();
    aborted.abort("by itself");
    expect([listeners(one.signal), listeners(other.signal)]).toEqual([0, 0]);
    expect(aborted.signal.reason).toBe("by itself");
    const followed = link();
    one.abort();
    expect(followed.signal.aborted).toBe(true);
    expect([listeners(one.signal), listeners(other.signal)]).toEqual([0, 0]);
  });

  it("does not follow its sources once it is disposed", () => {
    const source = new AbortController();
    const linked = linkSignals(source.signal);
    linked[Symbol.dispose]();
    source.abort();
    expect(linked.signal.aborted).toBe(false);
  });
});

describe("waitFor", () => {
  it("hands on what the work gives or throws, and leaves neither timer nor listener", async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const bounds = { clock, timeoutMs: 100, signal };
    expect(await waitFor(Promise.resolve(7), bounds)).toBe(7);
    await expect(waitFor(Promise.reject(new Error("no")), bounds)).rejects.toThrow("no");
    expect([clock.pending, listeners(signal)]).toEqual([0, 0]);
  });

  it("ends with `onTimeout()` when the time is over", async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const late = new Error("late");
    const never = deferred<void>();
    const wait = settled(waitFor(never.promise, { clock, timeoutMs: 100, onTimeout: () => late, signal }));
    await clock.advance(99);
    expect(wait.status).toBe("pending");
    await clock.advance(1);
    expect(wait).toMatchObject({ status: "rejected", reason: late });
    expect(listeners(signal)).toBe(0);
    // The work may still fail: nobody is left to hear it, and the process does not die of it.
    never.reject(new Error("too late"));
    await clock.settle();
  });

  it("ends with the signal's reason on abort", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const wait = settled(
      waitFor(deferred<void>().promise, { clock, timeoutMs: 100, signal: controller.signal }),
    );
    controller.abort("stop");
    await clock.settle();
    expect(wait).toMatchObject({ status: "rejected", reason: "stop" });
    expect(clock.pending).toBe(0);
  });

  it("does not wait on a signal that has aborted, and swallows the failure of the work", async () => {
    const work = Promise.reject(new Error("unheard"));
    await expect(waitFor(work, { signal: AbortSignal.abort("before") })).rejects.toBe("before");
  });
});

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

  it("warns of no leak where one signal ends a thousand", async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const warned = vi.fn();
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    for (let index = 0; index < 1_000; index += 1) void sleep(clock, 100, signal);
    await clock.advance(100);
    await new Promise(setImmediate);
    expect(warned).not.toHaveBeenCalled();
  });
});
