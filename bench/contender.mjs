/** One contender in a process of its own: `contender.mjs JOB CONTENDER ENDPOINT`; tells the figures by IPC. */

import process from "node:process";

const [name, contender = "", endpoint = ""] = process.argv.slice(2);
// Only this one: others would load what it is to measure the loading of.
const { job } = /** @type {{ job: import("./job.mjs").Job }} */ (await import(`./jobs/${name}.mjs`));
const run = job.contenders[contender];
if (!run || !process.send) throw new Error(`no contender ${contender} of ${name}`);

/** @param {string} [what] @returns {Promise<void>} */
function drive(what = "") {
  return new Promise((resolve) => {
    process.once("message", () => resolve());
    process.send?.({ drive: what });
  });
}

const figures = await run({ endpoint, drive });
process.send({ figures }, () => process.exit(0));
