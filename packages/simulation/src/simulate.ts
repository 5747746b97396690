import { Actor } from "./act.js";
import { contestOf, type Plan, planOf } from "./plan.js";
import type { Totals, Violation } from "./report.js";
import { settle } from "./settle.js";
import { succeed } from "./succession.js";
import { World } from "./world.js";

/** What came of one run. */
export interface Outcome {
  readonly plan: Plan;
  /** Broken promises, first one first. */
  readonly violations: readonly Violation[];
  readonly totals: Totals;
  /** Everything that happened, one line each: the same for the same plan. */
  readonly log: readonly string[];
}

/** Runs the plan of a seed. The same seed, the same outcome, to the last byte of the log. */
export function simulate(seed: number, options?: { readonly isSilent?: boolean }): Promise<Outcome> {
  return run(planOf(seed, options));
}

/** Rivals for one key: see `contestOf()`. The same seed, the same outcome. */
export function contest(seed: number): Promise<Outcome> {
  return run(contestOf(seed));
}

/**
 * Runs a plan: its steps, then the end of all faults, and looks until everything is at rest.
 *
 * What the registrations and discoveries say is checked against the store's history as they say it. Never
 * rejects because of what they do: that is a violation.
 */
export async function run(plan: Plan): Promise<Outcome> {
  const world = new World(plan);
  const { record, clock } = world;
  try {
    const actor = new Actor(world, plan.isSilent);
    for (const { afterMs, action } of plan.steps) {
      await clock.advance(afterMs);
      for (const discovery of world.discoveries) discovery.sample();
      actor.act(action);
    }
    await clock.advance(0);
    actor.heal();
    if (plan.isContest) await succeed(world);
    await settle(world, actor.wasFull, plan.isSilent);
  } catch (error) {
    record.blame("-", "simulation", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  record.totals.seeds = 1;
  record.totals.virtualMs = clock.now();
  record.totals.storeEvents = world.history.count;
  return { plan, violations: record.violations, totals: record.totals, log: record.log };
}
