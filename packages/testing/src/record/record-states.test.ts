import { describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import { FakeDiscovery } from "./fake-discovery.fixture.js";
import { recordStates } from "./record-states.js";

describe("recordStates", () => {
  it("keeps every state with its time, and leaves repeats out of the way it went", async () => {
    const clock = new ManualClock();
    const subject = new FakeDiscovery();
    const recording = recordStates(subject, { clock });
    await clock.advance(5);
    for (const status of ["stale", "stale", "live"]) subject.enter(status);
    expect(recording.states.map(({ state, at }) => [state.status, at])).toEqual([
      ["live", 0],
      ["stale", 5],
      ["stale", 5],
      ["live", 5],
    ]);
    expect(recording.statuses).toEqual(["live", "stale", "live"]);
    recording[Symbol.dispose]();
    subject.enter("closed");
    expect(recording.states).toHaveLength(4);
  });
});
