/** Starts one of the two apps, built first if need be: `npm run server -- …`, `npm run client -- …`. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { checkout } from "./lib/checkout.mjs";
import { build, setUp } from "./setup.mjs";

const [, , app = ""] = process.argv;
const main = join(checkout, "apps", app, "dist", "main.js");
if (!existsSync(main)) {
  await setUp();
  await build();
}
// The app reads its flags as if it had been started itself.
process.argv.splice(1, 2, main);
await import(pathToFileURL(main).href);
