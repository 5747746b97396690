/** Runs the contenders of a job in turn, each in a process of its own, and sums up. */

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { quantile } from "./measure.mjs";

/** @typedef {{ median: number, min: number, max: number }} Spread */

const program = fileURLToPath(new URL("./contender.mjs", import.meta.url));
const LIMIT_MS = 300_000;

/**
 * Each run has every contender once, so that what disturbs the machine for a while disturbs all of them; who is
 * first changes from run to run.
 *
 * @param {import("./job.mjs").Job} job
 * @param {import("./job.mjs").Setting} setting
 * @param {number} runs
 * @returns {Promise<Record<string, import("./job.mjs").Figures[]>>} by contender
 */
export async function alternate(job, setting, runs) {
  const names = Object.keys(job.contenders);
  /** @type {Record<string, import("./job.mjs").Figures[]>} */
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let run = 0; run < runs; run += 1) {
    for (let place = 0; place < names.length; place += 1) {
      const name = /** @type {string} */ (names[(run + place) % names.length]);
      results[name]?.push(await runOnce(job, name, setting));
      await job.restore?.(setting);
    }
  }
  return results;
}

/**
 * @param {import("./job.mjs").Job} job
 * @param {string} contender
 * @param {import("./job.mjs").Setting} setting
 * @returns {Promise<import("./job.mjs").Figures>}
 */
function runOnce(job, contender, setting) {
  return new Promise((resolve, reject) => {
    const child = fork(program, [job.name, contender, setting.endpoint], { execArgv: ["--expose-gc"] });
    const limit = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    child.on("message", (/** @type {any} */ said) => {
      if (said.figures) resolve(said.figures);
      else job.drive?.(setting, said.drive).then(() => child.send("driven"), reject);
    });
    child.once("exit", (code, signal) => {
      clearTimeout(limit);
      reject(new Error(`${job.name}: ${contender} ended with ${signal ?? code} before it told its figures`));
    });
  });
}

/** @param {readonly number[]} values @returns {Spread} */
export function spread(values) {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * The ratios of two contenders, run by run.
 *
 * @param {readonly number[]} values
 * @param {readonly number[]} others
 */
export function ratios(values, others) {
  return values.map((value, run) => value / (others[run] ?? Number.NaN));
}
