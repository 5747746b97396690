import { describe, expect, it } from "vitest";
import { Renewals } from "./renewals.js";

describe("Renewals", () => {
  it("count from when what was answered was sent, and not from what was not", () => {
    let now = 0;
    const renewals = new Renewals({ now: () => now });
    renewals.confirm(1n, 0, 8);
    now = 2_000;
    renewals.send(1n);
    now = 5_000;
    renewals.send(1n);
    expect(renewals.validUntil(1n)).toBe(8_000);
    renewals.answer(1n, 8);
    expect(renewals.validUntil(1n)).toBe(10_000);
    renewals.begin();
    renewals.answer(1n, 8);
    expect(renewals.validUntil(1n)).toBe(10_000);
    renewals.end(1n);
    expect(renewals.validUntil(1n)).toBe(0);
  });

  it("know nothing of a lease that is gone, or was never granted", () => {
    const renewals = new Renewals({ now: () => 3_000 });
    renewals.send(1n);
    renewals.answer(1n, 0);
    expect([renewals.validUntil(1n), renewals.validUntil(2n)]).toEqual([0, 0]);
  });
});
