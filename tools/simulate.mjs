/** Runs the simulation, or another command of it, from its sources: `npm run simulate -- --seeds 10000`. */

import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { cacheFolder, checkout } from "./lib/checkout.mjs";
import { setUp } from "./setup.mjs";

const [, , command = "main"] = process.argv;
const file = join(cacheFolder, "simulation", `${command}.mjs`);
await setUp();
const { bundle } = await import(pathToFileURL(join(checkout, "packages", "simulation", "bundle.mjs")).href);
await bundle(command, file);
// The command reads its flags as if it had been started itself.
process.argv.splice(1, 2, file);
await import(pathToFileURL(file).href);
