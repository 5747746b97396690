import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Plugin } from "esbuild";
import { bundle } from "../../bundle.mjs";
import type { Defect } from "./defects.js";
import type { Catch, Hunt } from "./hunt.js";

/** A run with a defect may get into a loop that never ends. */
const PATIENCE_MS = 120_000;

/** Makes a copy of the simulation, with the packages' sources patched. @throws if a patch has no place. */
export async function plant({ name, patches }: Defect, outfile: string): Promise<void> {
  const pending = new Set(patches);
  const plugin: Plugin = {
    name: "planted defect",
    setup({ onLoad }) {
      onLoad({ filter: /packages\/\w+\/src\/.*\.ts$/ }, async ({ path }) => {
        const own = patches.filter(({ file }) => path.endsWith(join("packages", file)));
        if (own.length === 0) return undefined;
        let contents = await readFile(path, "utf8");
        for (const patch of own) {
          const parts = contents.split(patch.find);
          if (parts.length !== 2)
            throw new Error(`${patch.file} holds this ${parts.length - 1} times: ${patch.find}`);
          contents = parts.join(patch.replace);
          pending.delete(patch);
        }
        return { contents, loader: "ts" };
      });
    },
  };
  await bundle("zoo/hunt", outfile, [plugin]);
  if (pending.size > 0) throw new Error(`"${name}" patches a file that is not used`);
}

/** Looks for the first seed with which a planted copy breaks a promise. */
export function hunt(file: string, workerData: Hunt): Promise<Catch | undefined> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(file, { workerData });
    const limit = setTimeout(() => {
      reject(new Error(`no end after ${PATIENCE_MS} ms`));
      void worker.terminate();
    }, PATIENCE_MS);
    worker.once("message", (caught: Catch | undefined) => resolve(caught));
    worker.once("error", reject);
    worker.once("exit", () => {
      clearTimeout(limit);
      resolve(undefined);
    });
  });
}
