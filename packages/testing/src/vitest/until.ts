import { setTimeout as pause } from "node:timers/promises";
import { invalidArgument } from "@sd/core";
import type { ManualClock } from "../clock/manual-clock.js";

/** How long a matcher waits. */
export interface MatcherWait {
  /** Default 4000: less than vitest gives a test, whose message would say less. */
  readonly withinMs?: number;
  /** Moves this clock, from timer to timer, in place of waiting. */
  readonly clock?: ManualClock;
}

export const DEFAULT_WITHIN_MS = 4_000;

const STEP_MS = 10;

/** Asks until `isDone` says so, or the time is over; says whether it was. Asks once at least, and at the end. */
export async function until(
  isDone: () => boolean | Promise<boolean>,
  { withinMs = DEFAULT_WITHIN_MS, clock }: MatcherWait,
): Promise<boolean> {
  if (!(withinMs >= 0)) throw invalidArgument("withinMs", "a number from 0", withinMs);
  if (!clock) {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const isLast = performance.now() >= deadline;
      if (await isDone()) return true;
      if (isLast) return false;
      await pause(STEP_MS);
    }
  }
  const deadline = clock.now() + withinMs;
  await clock.settle();
  while (!(await isDone())) {
    if (clock.now() >= deadline) return false;
    await clock.advance(Math.min(clock.nextTimerAt ?? deadline, deadline) - clock.now());
  }
  return true;
}
