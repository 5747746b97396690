/** Runs the demo: `npm run demo`. A client and two servers side by side on a real etcd. */

import process from "node:process";
import { Demo } from "./demo/demo.mjs";
import { help, readOptions } from "./demo/options.mjs";
import { findEtcd } from "./etcd/find-etcd.mjs";
import { runMain } from "./lib/command-line.mjs";
import { build, setUp } from "./setup.mjs";

await runMain(async () => {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options.help) {
    process.stdout.write(help);
    return 0;
  }
  const program = options.endpoints === undefined ? await provideProgram() : undefined;
  if (program === undefined) say(`using the etcd at ${withoutPassword(options.endpoints ?? "")}`);
  await setUp();
  await build();
  return new Demo().run(options, program);
});

/** The etcd to start; says which. */
async function provideProgram() {
  const found = await findEtcd();
  say(`using etcd ${found.version} (${found.etcd}), started for the demo`);
  return found.etcd;
}

/** @param {string} text */
function withoutPassword(text) {
  return text.replaceAll(/\/\/[^@/]*@/g, "//");
}

/** @param {string} text */
function say(text) {
  process.stdout.write(`demo: ${text}\n`);
}
