/**
 * Checks the packages as their users get them: `node tools/packages/check.mjs`.
 *
 * Packs each, looks into the tarball, lints it, and uses all of them in a throw-away project against a real etcd.
 */

import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { findEtcd } from "../etcd/find-etcd.mjs";
import { startEtcd } from "../etcd/start-etcd.mjs";
import { cacheFolder, checkout, manifest, tool } from "../lib/checkout.mjs";
import { readFlags, reportFailure, runMain } from "../lib/command-line.mjs";
import { run } from "../lib/run.mjs";
import { build, pnpm, setUp } from "../setup.mjs";
import { compilerOf, compilers, consumerFiles } from "./consumer.mjs";
import { complaints } from "./tarball.mjs";

const packages = ["core", "register", "discover", "testing"];

/** Vitest cannot be required: who uses it imports. */
const esmOnly = ["vitest"];

/** Runs the checks one after the other, tells each, and goes on after a failure. */
class Checks {
  failed = 0;

  /**
   * @param {string} name
   * @param {() => Promise<unknown>} action
   */
  async check(name, action) {
    const startedAt = performance.now();
    try {
      await action();
      process.stdout.write(`ok      ${name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)\n`);
    } catch (error) {
      this.failed += 1;
      process.stdout.write(`FAILED  ${name}\n`);
      reportFailure(error);
    }
  }
}

/**
 * @param {string} name
 * @param {string} folder
 */
async function pack(name, folder) {
  const target = join(folder, name);
  await mkdir(target, { recursive: true });
  await pnpm(["pack", "--pack-destination", target], join(checkout, "packages", name));
  const [tarball] = await readdir(target);
  if (tarball === undefined) throw new Error(`pnpm pack made no tarball of ${name}`);
  return join(target, tarball);
}

/** @param {string} tarball */
async function checkFiles(tarball) {
  const files = (await run("tar", ["-tzf", tarball])).split("\n").filter(Boolean);
  const found = complaints(files, await run("tar", ["-xzOf", tarball, "package/package.json"]));
  if (found.length > 0) throw new Error(found.join("\n"));
}

/**
 * @param {Checks} checks
 * @param {Record<string, string>} tarballs
 * @param {string} folder
 */
async function checkConsumers(checks, tarballs, folder) {
  const consumer = join(folder, "consumer");
  await mkdir(consumer);
  const { "@types/node": nodeTypes = "*", vitest = "*" } = manifest.devDependencies;
  const files = consumerFiles(tarballs, { nodeTypes, vitest });
  for (const [name, text] of Object.entries(files)) await writeFile(join(consumer, name), text);
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--no-package-lock"];
  await checks.check("npm installs the tarballs", () => run("npm", ["install", ...flags], { cwd: consumer }));
  for (const version of compilers) {
    const tsc = join(consumer, "node_modules", compilerOf(version), "bin", "tsc");
    await checks.check(`types in an ESM and a CJS consumer with TypeScript ${version}`, () =>
      run(process.execPath, [tsc, "-p", "."], { cwd: consumer }),
    );
  }
  await checks.check("the test file of @sd/testing's README compiles and passes", async () => {
    const modules = join(consumer, "node_modules");
    const tsc = join(modules, compilerOf("6.0"), "bin", "tsc");
    await run(process.execPath, [tsc, "-p", "tsconfig.test.json"], { cwd: consumer });
    await run(process.execPath, [join(modules, "vitest", "vitest.mjs"), "run"], { cwd: consumer });
  });
  await checks.check("npx @sd/testing etcd --help explains itself", async () => {
    const words = await run("npx", ["--no-install", "@sd/testing", "etcd", "--help"], { cwd: consumer });
    if (!words.includes("Usage: sd-etcd")) throw new Error(words);
  });
  const { etcd, version } = await findEtcd();
  for (const file of ["esm.mjs", "cjs.cjs"]) {
    // One etcd each: the second must not find what the first has left.
    const started = await startEtcd(etcd);
    const env = { ...process.env, ENDPOINT: started.endpoint, no_grpc_proxy: "127.0.0.1" };
    const play = () => run(process.execPath, [file], { cwd: consumer, env, timeoutMs: 30_000 });
    await checks.check(`${file} registers and discovers on etcd ${version}`, play);
    await started.stop();
  }
}

await runMain(async () => {
  const flags = readFlags({ help: { type: "boolean", short: "h" } });
  if (flags.help) {
    process.stdout.write(
      "Usage: node tools/packages/check.mjs\n\n  Checks the packages as their users get them.\n",
    );
    return 0;
  }
  await setUp();
  await build();
  const checks = new Checks();
  // Inside the checkout, where a run that was killed is cleaned up by the next.
  const folder = join(cacheFolder, "packages");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  try {
    /** @type {Record<string, string>} */
    const tarballs = {};
    for (const name of packages) {
      await checks.check(`@sd/${name} packs`, async () => {
        tarballs[`@sd/${name}`] = await pack(name, folder);
      });
      const tarball = tarballs[`@sd/${name}`];
      if (tarball === undefined) continue;
      await checks.check(`@sd/${name} holds what it should`, () => checkFiles(tarball));
      await checks.check(`@sd/${name} passes publint`, () =>
        run(tool("publint"), ["run", tarball, "--strict"]),
      );
      await checks.check(`@sd/${name} passes attw`, () =>
        run(tool("attw"), [tarball, "--profile", "node16", "--exclude-entrypoints", ...esmOnly]),
      );
    }
    if (checks.failed === 0) await checkConsumers(checks, tarballs, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  process.stdout.write(
    checks.failed === 0 ? "the packages are fit to be used\n" : `${checks.failed} checks FAILED\n`,
  );
  return checks.failed === 0 ? 0 : 1;
});
