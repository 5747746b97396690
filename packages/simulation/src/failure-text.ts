import { describe } from "./act.js";
import type { Outcome } from "./simulate.js";

/** What a failing run shows: its seed, its schedule, and which promise was broken how. */
export function failureLines({ plan, violations }: Outcome): string[] {
  let at = 0;
  const flags = `--seed ${plan.seed}${plan.isSilent ? " --silent" : ""}`;
  return [
    `seed ${plan.seed} fails (npm run simulate -- ${flags}), with these steps left:`,
    ...plan.steps.map(({ afterMs, action }) => {
      at += afterMs;
      return `  ${`${at} ms`.padStart(10)}  ${describe(action)}`;
    }),
    ...violations.map(
      ({ invariant, subject, at: when, text }) =>
        `  ${invariant} ${subject} at ${when.toFixed(0)} ms: ${text}`,
    ),
    "",
  ];
}
