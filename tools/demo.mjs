/** Runs the demo: `npm run demo`. A client and two servers side by side on an etcd in memory, or on yours. */

import process from "node:process";
import { Demo } from "./demo/demo.mjs";
import { help, readOptions } from "./demo/options.mjs";
import { runMain } from "./lib/command-line.mjs";
import { build, setUp } from "./setup.mjs";

await runMain(async () => {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options.help) {
    process.stdout.write(help);
    return 0;
  }
  say(
    options.endpoints === undefined
      ? "using an etcd in memory, which keeps nothing; a real one: --endpoints http://host:2379, or ETCD_ENDPOINTS"
      : `using the etcd at ${withoutPassword(options.endpoints)}`,
  );
  await setUp();
  await build();
  return new Demo().run(options);
});

/** @param {string} text */
function withoutPassword(text) {
  return text.replaceAll(/\/\/[^@/]*@/g, "//");
}

/** @param {string} text */
function say(text) {
  process.stdout.write(`demo: ${text}\n`);
}
