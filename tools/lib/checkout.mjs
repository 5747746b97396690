/** Where things are in this checkout. */

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that holds the root `package.json`. */
export const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Holds what can be made again at any time; git does not see it. */
export const cacheFolder = join(checkout, ".cache");

/**
 * The path of a tool that is installed with the workspace.
 *
 * @param {string} name
 */
export const tool = (name) => join(checkout, "node_modules", ".bin", name);

/** The root `package.json`. */
export const manifest =
  /** @type {{ packageManager: string, engines: { node: string }, devDependencies: Record<string, string> }} */ (
    JSON.parse(readFileSync(join(checkout, "package.json"), "utf8"))
  );
