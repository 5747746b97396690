/** The sources of a throw-away project that uses our packages as another team would. */

import { consumerTest } from "../lib/readme.mjs";

/** The imports of each kind of consumer, and the TypeScript that they are checked as. */
const heads = {
  "esm.mjs": `import { createClient } from "@sd/core";
import { register } from "@sd/register";
import { discover } from "@sd/discover";
`,
  "cjs.cjs": `const { createClient } = require("@sd/core");
const { register } = require("@sd/register");
const { discover } = require("@sd/discover");
`,
};

/** The versions of TypeScript that understand our declarations: the oldest, the last of each major, the newest. */
export const compilers = ["5.4", "5.9", "6.0", "7.0"];

/**
 * The name under which a compiler is installed in the consumer.
 *
 * @param {string} version
 */
export const compilerOf = (version) => `typescript-${version}`;

/** Registers, sees it, picks it, goes, sees that; and ends by itself, as nothing holds the process. */
const body = `
async function main() {
  const etcd = createClient({ endpoints: [process.env["ENDPOINT"] ?? ""] });
  const signal = AbortSignal.timeout(10_000);
  const web = await discover(etcd, { service: "web", signal });
  const registration = await register(etcd, {
    service: "web",
    id: "node1",
    address: "localhost:8000",
    ttlSeconds: 5,
    signal,
  });
  for await (const snapshot of web.snapshots({ signal })) {
    if ([...snapshot.instances.values()].length === 1) break;
  }
  const { address } = web.pick();
  if (address !== "localhost:8000") throw new Error("picked " + address);
  await registration.close();
  for await (const snapshot of web.snapshots({ signal })) {
    if ([...snapshot.instances.values()].length === 0) break;
  }
  await web.close();
  await etcd.close();
  console.log("consumer: registered, discovered, picked, deregistered");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
`;

const compilerOptions = {
  module: "nodenext",
  target: "es2022",
  lib: ["es2023"],
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  skipLibCheck: false,
};

/**
 * Makes the files of the consumer project.
 *
 * @param {Record<string, string>} tarballs package name → file
 * @param {{ nodeTypes: string, vitest: string }} versions of what it needs besides
 * @returns {Record<string, string>} file name → text
 */
export function consumerFiles(tarballs, { nodeTypes, vitest }) {
  const names = Object.keys(tarballs);
  const dependencies = Object.fromEntries(names.map((name) => [name, `file:${tarballs[name]}`]));
  const imports = names.map(
    (name, index) => `import * as package${index} from "${name}";\nvoid package${index};\n`,
  );
  return {
    "package.json": json({
      name: "consumer",
      private: true,
      type: "module",
      dependencies,
      devDependencies: {
        "@types/node": nodeTypes,
        vitest,
        ...Object.fromEntries(
          compilers.map((version) => [compilerOf(version), `npm:typescript@~${version}`]),
        ),
      },
      // What our packages ask for among themselves comes from the tarballs too.
      overrides: Object.fromEntries(names.map((name) => [name, `$${name}`])),
    }),
    "tsconfig.json": json({
      compilerOptions,
      files: ["types.mts", "types.cts", "entries.mts", "entries.cts"],
    }),
    // Vitest's own declarations want a newer library than ours do.
    "tsconfig.test.json": json({
      compilerOptions: { ...compilerOptions, lib: ["esnext"], skipLibCheck: true },
      files: ["example.test.ts"],
    }),
    "example.test.ts": consumerTest(),
    // Else that of this workspace, which is around it.
    "vitest.config.mjs": "export default { test: { testTimeout: 30_000 } };\n",
    "esm.mjs": heads["esm.mjs"] + body,
    "cjs.cjs": heads["cjs.cjs"] + body,
    "types.mts": heads["esm.mjs"] + body,
    "types.cts": heads["esm.mjs"] + body,
    "entries.mts": imports.join(""),
    "entries.cts": imports.join(""),
  };
}

/** @param {unknown} value */
const json = (value) => `${JSON.stringify(value, undefined, 2)}\n`;
