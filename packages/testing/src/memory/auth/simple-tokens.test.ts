import { describe, expect, it } from "vitest";
import { ManualClock } from "../../clock/manual-clock.js";
import { SimpleTokens } from "./simple-tokens.js";

describe("SimpleTokens", () => {
  it("end when they were not used for their TTL, and are not kept after that", async () => {
    const clock = new ManualClock();
    const tokens = new SimpleTokens(clock, 10);
    const used = tokens.assign("ann");
    const idle = tokens.assign("ann");
    await clock.advance(6_000);
    expect(tokens.userOf(used)).toBe("ann");
    await clock.advance(4_000);
    tokens.assign("bob");
    expect(tokens.size).toBe(2);
    expect([tokens.userOf(used), tokens.userOf(idle)]).toEqual(["ann", undefined]);
    await clock.advance(9_999);
    expect(tokens.userOf(used)).toBe("ann");
    await clock.advance(10_000);
    expect(tokens.userOf(used)).toBe(undefined);
    tokens.assign("ann");
    expect(tokens.size).toBe(1);
  });
});
