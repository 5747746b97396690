import { describe, expect, it } from "vitest";
import type { Plan, Step } from "./plan.js";
import { Totals } from "./report.js";
import { shrink } from "./shrink.js";
import type { Outcome } from "./simulate.js";

const rest = {
  seed: 1,
  catchUpDelayMs: 0,
  missingLeaseTtl: 0,
  isSilent: false,
  isContest: false,
  isGrouped: false,
} as const;
const steps: readonly Step[] = Array.from({ length: 40 }, (_, nth) => ({
  afterMs: 10,
  action: { type: "update", nth },
}));

/** Fails if these updates are in the plan, by breaking this promise. */
function attempt(wanted: readonly number[], invariant = "D1") {
  return async (plan: Plan): Promise<Outcome> => {
    const present = plan.steps.map(({ action }) => (action.type === "update" ? action.nth : -1));
    const isBroken = wanted.every((nth) => present.includes(nth));
    const violation = { invariant, subject: "s", at: 0, text: "" };
    return { plan, violations: isBroken ? [violation] : [], totals: new Totals(), log: [] };
  };
}

describe("shrink", () => {
  it("leaves the steps that are needed, each at its time", async () => {
    const run = attempt([3, 17, 31]);
    const { plan } = await shrink(await run({ ...rest, steps }), run);
    let at = 0;
    const left = plan.steps.map(({ afterMs, action }) => {
      at += afterMs;
      return [action.type === "update" && action.nth, at];
    });
    expect(left).toEqual([
      [3, 40],
      [17, 180],
      [31, 320],
    ]);
  });

  it("does not take another broken promise for the same", async () => {
    const whole = await attempt([], "D1")({ ...rest, steps });
    expect(await shrink(whole, attempt([], "R1"))).toBe(whole);
  });

  it("leaves alone what does not fail", async () => {
    const whole = await attempt([99])({ ...rest, steps });
    expect(await shrink(whole, attempt([]))).toBe(whole);
  });
});
