/** Makes one file of the simulation and the packages' sources, so that Node can run it: nothing has to be built. */

import { createRequire, isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Bundles `src/<entry>.ts` with all that is ours; packages of others stay where they are.
 *
 * @param {string} entry
 * @param {string} outfile
 * @param {import("esbuild").Plugin[]} [plugins] come first: one may exchange a source
 * @returns {Promise<void>}
 */
export async function bundle(entry, outfile, plugins = []) {
  await build({
    entryPoints: [join(here, "src", `${entry}.ts`)],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    conditions: ["@sd/source", "import", "node"],
    sourcemap: "inline",
    logLevel: "silent",
    plugins: [...plugins, others],
  });
}

/** @type {import("esbuild").Plugin} */
const others = {
  name: "packages of others",
  setup({ onResolve }) {
    // This file: in the bundle it would not know where the sources are.
    onResolve({ filter: /\/bundle\.mjs$/ }, () => ({ path: fileURLToPath(import.meta.url), external: true }));
    onResolve({ filter: /^[^.]/ }, ({ path, importer, kind }) => {
      if (kind === "entry-point" || isBuiltin(path) || path.startsWith("@sd/")) return undefined;
      return { path: createRequire(importer).resolve(path), external: true };
    });
  },
};
