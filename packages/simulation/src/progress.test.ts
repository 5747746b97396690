import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { Progress } from "./progress.js";

describe("Progress", () => {
  it("tells every ten seconds how far a run is, and nothing of a short one", async () => {
    const clock = new ManualClock();
    const lines: string[] = [];
    const progress = new Progress(1_000, (line) => lines.push(line), clock);
    for (let done = 1; done <= 1_000; done += 1) {
      await clock.advance(25);
      progress.tell(done, done > 500 ? 2 : 0);
    }
    expect(lines).toEqual([
      "400 of 1000 seeds, 40.0 a second, 15 s left",
      "800 of 1000 seeds, 40.0 a second, 5 s left, 2 with violations",
    ]);
  });
});
