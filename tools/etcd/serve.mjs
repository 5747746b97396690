/** Runs an etcd for trying things out, until Ctrl-C: `npm run etcd [-- --port 2379]`. It keeps nothing. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { checkout } from "../lib/checkout.mjs";
import { runMain } from "../lib/command-line.mjs";
import { build, setUp } from "../setup.mjs";
import { serveReal } from "./serve-real.mjs";

const help = `Usage: npm run etcd [-- --real] [-- flags of sd-etcd]

  Runs an etcd in memory, until Ctrl-C. It keeps nothing.

  --real  a real etcd instead, with temporary data; of the flags below it knows --port

`;

const args = process.argv.slice(2);
const isReal = args.includes("--real");
if (args.includes("--help") || args.includes("-h")) process.stdout.write(help);
await (isReal ? runMain(() => serveReal(args.filter((each) => each !== "--real"))) : serveMemory());

async function serveMemory() {
  const command = join(checkout, "packages", "testing", "bin", "sd-etcd.js");
  if (!existsSync(join(checkout, "packages", "testing", "dist"))) {
    await setUp();
    await build();
  }
  // The command reads its flags as if it had been started itself.
  process.argv.splice(1, process.argv.length, command, ...args);
  await import(pathToFileURL(command).href);
}
