/** The commands that docs/security.md tells its readers to run. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "./checkout.mjs";

/**
 * The commands of one program in the shell blocks of docs/security.md, in their order: their arguments, without
 * its name.
 *
 * @param {string} program
 * @returns {string[][]}
 */
export function commands(program) {
  const text = readFileSync(join(checkout, "docs", "security.md"), "utf8");
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
    .flatMap(([, block = ""]) => block.replaceAll("\\\n", " ").split("\n"))
    .map((line) => line.trim().split(/\s+/))
    .filter(([name]) => name === program)
    .map(([, ...args]) => args);
}
