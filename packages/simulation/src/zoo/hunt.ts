import { parentPort, workerData } from "node:worker_threads";
import { failureLines } from "../failure-text.js";
import { shrink } from "../shrink.js";
import { simulate } from "../simulate.js";

/** What is looked for. */
export interface Hunt {
  readonly from: number;
  readonly seeds: number;
  /** Only these count. */
  readonly invariants: readonly string[];
  readonly isShrunk: boolean;
  readonly isSilent?: boolean | undefined;
}

/** What was found. */
export interface Catch {
  readonly seed: number;
  /** How many seeds it took. */
  readonly seeds: number;
  readonly invariant: string;
  readonly lines: readonly string[];
}

async function find({
  from,
  seeds,
  invariants,
  isShrunk,
  isSilent = false,
}: Hunt): Promise<Catch | undefined> {
  for (let seed = from; seed < from + seeds; seed += 1) {
    const outcome = await simulate(seed, { isSilent });
    const broken = outcome.violations.find(({ invariant }) => invariants.includes(invariant));
    if (!broken) continue;
    const shown = isShrunk ? await shrink(outcome) : outcome;
    return { seed, seeds: seed - from + 1, invariant: broken.invariant, lines: failureLines(shown) };
  }
  return undefined;
}

// Runs as a worker, from a patched copy.
const hunt = workerData as Hunt;
parentPort?.postMessage(await find(hunt));
process.exit();
