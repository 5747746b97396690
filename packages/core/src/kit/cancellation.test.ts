import { describe, expect, it } from "vitest";
import { Cancellation } from "./cancellation.js";
import { waitFor } from "./signals.js";

describe("Cancellation", () => {
  it("tells once, in order, and its reason", () => {
    const cancellation = new Cancellation();
    const told: unknown[] = [];
    cancellation.onAbort(() => told.push("first", cancellation.aborted, cancellation.reason));
    cancellation.onAbort(() => told.push("second"));
    expect(cancellation.aborted).toBe(false);
    cancellation.abort("over");
    cancellation.abort("again");
    expect(told).toEqual(["first", true, "over", "second"]);
    expect(cancellation.reason).toBe("over");
  });

  it("tells nobody who was taken back, also by one who was told before", () => {
    const cancellation = new Cancellation();
    const told: string[] = [];
    const takeBack = cancellation.onAbort(() => told.push("one"));
    cancellation.onAbort(() => takeOther());
    const takeOther = cancellation.onAbort(() => told.push("other"));
    takeBack();
    cancellation.abort("over");
    expect(told).toEqual([]);
  });

  it.each(["before", "after"])("has a signal that aborts with it, made %s", (when) => {
    const cancellation = new Cancellation();
    const before = when === "before" ? cancellation.signal : undefined;
    cancellation.abort("over");
    const { signal } = cancellation;
    expect([signal.aborted, signal.reason]).toEqual([true, "over"]);
    expect(before === undefined || before === signal).toBe(true);
  });

  it("ends a waiting, as a signal does", async () => {
    const cancellation = new Cancellation();
    const never = new Promise<never>(() => {});
    const waiting = waitFor(never, { signal: cancellation });
    cancellation.abort("over");
    await expect(waiting).rejects.toBe("over");
    await expect(waitFor(never, { signal: cancellation })).rejects.toBe("over");
  });
});
