import { getEventListeners } from "node:events";
import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { settled } from "../../test/observe.js";
import { deferred } from "./deferred.js";
import { linkSignals, waitFor } from "./signals.js";

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
