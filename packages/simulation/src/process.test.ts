import { ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Process } from "./process.js";

let clock: ManualClock;
let process: Process;
let seen: string[];
beforeEach(() => {
  clock = new ManualClock();
  process = new Process("p", clock);
  seen = [];
});
const note = (text: string) => () => void seen.push(`${text} ${clock.now()}`);

describe("Process", () => {
  it("does nothing while it stands still, and then all that has waited, each once", async () => {
    process.setTimer(100, note("timer"));
    process.pause();
    process.run(note("message"));
    await clock.advance(1_000);
    expect(seen).toEqual([]);
    expect(process.hasPausedSince(0)).toBe(true);
    process.resume(false);
    await clock.settle();
    expect(seen).toEqual(["message 1000", "timer 1000"]);
  });

  it("sees to its timers first, if told so", async () => {
    process.pause();
    process.run(note("message"));
    process.setTimer(100, note("timer"));
    await clock.advance(1_000);
    process.resume(true);
    await clock.settle();
    expect(seen).toEqual(["timer 1000", "message 1000"]);
  });

  it("keeps what comes in while it catches up behind what waits", async () => {
    process.pause();
    process.run(() => {
      note("first")();
      process.run(note("third"));
    });
    process.run(note("second"));
    process.resume(false);
    await clock.settle();
    expect(seen).toEqual(["first 0", "second 0", "third 0"]);
  });

  it("does not fire a timer that was disposed while it stood still", async () => {
    const timer = process.setTimer(100, note("timer"));
    process.pause();
    process.run(() => timer[Symbol.dispose]());
    await clock.advance(50);
    process.resume(false);
    await clock.advance(100);
    expect(seen).toEqual([]);
  });

  it("does nothing any more once it is dead", async () => {
    process.setTimer(100, note("timer"));
    process.kill();
    process.run(note("message"));
    process.resume(false);
    await clock.advance(1_000);
    expect(seen).toEqual([]);
    process.bury();
    expect(seen).toEqual(["message 1000", "timer 1000"]);
  });
});
