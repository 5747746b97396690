import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { Standing } from "./standing.js";

/** Names of members in the order in which they are asked. */
function order(standings: Readonly<Record<string, Standing>>): string[] {
  return Object.entries(standings)
    .sort(([, a], [, b]) => a.compare(b))
    .map(([name]) => name);
}

describe("Standing", () => {
  it("asks who is in no doubt first, then by the age of the doubt, then who could not be reached", async () => {
    const clock = new ManualClock();
    const [good, old, recent, gone] = Array.from({ length: 4 }, () => new Standing(clock));
    if (!good || !old || !recent || !gone) throw new Error("four");
    gone.unreachable();
    await clock.advance(1_000);
    old.suspected();
    await clock.advance(1_000);
    recent.suspected();
    expect(order({ gone, recent, old, good })).toEqual(["good", "old", "recent", "gone"]);
    recent.answered();
    expect(order({ gone, old, recent, good })).toEqual(["recent", "good", "old", "gone"]);
  });

  it("asks who could not be reached ten seconds ago before who fell silent just now", async () => {
    const clock = new ManualClock();
    const [silent, back] = [new Standing(clock), new Standing(clock)];
    back.unreachable();
    await clock.advance(9_999);
    silent.suspected();
    expect(order({ silent, back })).toEqual(["silent", "back"]);
    await clock.advance(1);
    expect(order({ silent, back })).toEqual(["back", "silent"]);
    back.unreachable();
    expect(order({ silent, back })).toEqual(["silent", "back"]);
  });
});
