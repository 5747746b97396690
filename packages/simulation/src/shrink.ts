import type { Plan, Step } from "./plan.js";
import { type Outcome, run } from "./simulate.js";

/** So many tries are enough. */
const MAX_RUNS = 400;

/**
 * Leaves out of a failing plan what it needs not to fail: ddmin over its steps.
 *
 * The smaller plan breaks the same promise as the first one that the whole plan broke. What a step leaves out
 * is made up for by the pause of the next, so that the others happen when they did.
 * Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002.
 */
export async function shrink(failed: Outcome, attempt = run): Promise<Outcome> {
  const invariant = failed.violations[0]?.invariant;
  if (invariant === undefined) return failed;
  let smallest = failed;
  let runs = 0;
  const fails = async (plan: Plan): Promise<boolean> => {
    runs += 1;
    const outcome = await attempt(plan);
    if (!outcome.violations.some((each) => each.invariant === invariant)) return false;
    smallest = outcome;
    return true;
  };
  for (let parts = 2; parts <= smallest.plan.steps.length && runs < MAX_RUNS; ) {
    const { plan } = smallest;
    const size = Math.ceil(plan.steps.length / parts);
    let isSmaller = false;
    for (let from = 0; from < plan.steps.length && runs < MAX_RUNS; from += size) {
      const steps = without(plan.steps, from, from + size);
      if (!(await fails({ ...plan, steps }))) continue;
      isSmaller = true;
      break;
    }
    if (isSmaller) parts = Math.max(2, parts - 1);
    else if (size === 1) break;
    else parts = Math.min(smallest.plan.steps.length, parts * 2);
  }
  return smallest;
}

/** Leaves out some steps; the time that they took stays. */
function without(steps: readonly Step[], from: number, to: number): Step[] {
  let skippedMs = 0;
  return steps.flatMap((step, index) => {
    if (index >= from && index < to) {
      skippedMs += step.afterMs;
      return [];
    }
    const { afterMs, action } = step;
    const kept = { afterMs: afterMs + skippedMs, action };
    skippedMs = 0;
    return [kept];
  });
}
