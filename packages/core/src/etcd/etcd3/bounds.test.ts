import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { Bounds } from "./bounds.js";

describe("the bounds of a call", () => {
  it.each([5_000.135_604_9, 5_000.046])(
    "say in whole milliseconds how long was waited, so that %d reads as the try before",
    async (timeoutMs) => {
      const clock = new ManualClock();
      using bounds = new Bounds(undefined, { among: new Set() });
      bounds.sent(clock, timeoutMs, "http://a:2379");
      await clock.advance(5_001);
      expect(bounds.timedOut).toBe(true);
      expect(bounds.signal.reason).toMatchObject({ message: "no answer within 5000 ms (http://a:2379)" });
    },
  );
});
