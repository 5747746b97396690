import { fixedRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { failure } from "../../test/scripted-transport.js";
import { Backoff } from "../kit/backoff.js";
import { retryDelayMs } from "./retry.js";

describe("retryDelayMs", () => {
  const backoff = Backoff.start({ baseMs: 100 }).next();

  it.each(["auth", "permission", "no-space", "invalid"] as const)(
    "is 30 s ± 20 %% after a failure that only an operator can end: %s",
    (kind) => {
      const delays = [0, 0.5, 1 - Number.EPSILON].map((next) =>
        Math.round(retryDelayMs(failure(kind), backoff, fixedRandom(next))),
      );
      expect(delays).toEqual([24_000, 30_000, 36_000]);
    },
  );

  it("is less by what the try took, but for a fifth, and spread over less where less is borne", () => {
    const random = fixedRandom(0.5);
    expect(retryDelayMs(failure("network"), backoff, random, { triedMs: 70 })).toBe(30);
    expect(retryDelayMs(failure("network"), backoff, random, { triedMs: 5_000 })).toBe(20);
    expect(retryDelayMs(failure("network"), backoff, random, { mostMs: 60 })).toBe(30);
    expect(retryDelayMs(failure("auth"), backoff, random, { triedMs: 5_000, mostMs: 60 })).toBe(30_000);
  });

  it.each([failure("network"), failure("token"), new Error("no failure of etcd"), undefined])(
    "is what the backoff says after any other end: %s",
    (error) => {
      expect(retryDelayMs(error, backoff, fixedRandom(0.5))).toBe(100);
    },
  );
});
