/** Sets up and runs all checks and tests: `npm test`, or with vitest filters only those tests: `npm test -- lease`. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { findEtcd, findNewerEtcds } from "./etcd/find-etcd.mjs";
import { cacheFolder, checkout, tool } from "./lib/checkout.mjs";
import { reportFailure } from "./lib/command-line.mjs";
import { CommandFailed, run } from "./lib/run.mjs";
import { countTests, summaryLine } from "./lib/test-report.mjs";
import { build, setUp, turbo } from "./setup.mjs";

const help = `Usage: npm test [-- <vitest filters and flags>]

  Installs, builds, lints, type-checks and runs all tests, those against a real etcd included.
  With filters, for example \`npm test -- lease\`, only those tests run, after installing and building.

  SD_ETCD_BIN         the etcd to test with; else PATH, else the distribution's package is fetched into .cache
  SD_ETCD_NEWER_BIN   newer ones, separated as in PATH; else the packages of the distribution's newer suites, if any
  SD_ETCD_ALL=1       all of them in the tests that take long, too: else these run on the oldest and the newest
`;

const reportFolder = join(cacheFolder, "test");
const reportFile = join(reportFolder, "vitest.json");
/** `.ci/run` prints this last. */
const summaryFile = join(reportFolder, "summary.txt");

/** @type {{ name: string, seconds: number, passed: boolean }[]} */
const steps = [];

/**
 * @param {string} name
 * @param {() => Promise<void>} action
 */
async function step(name, action) {
  process.stdout.write(`\n== ${name}\n`);
  const startedAt = performance.now();
  let passed = false;
  try {
    await action();
    passed = true;
  } finally {
    const seconds = (performance.now() - startedAt) / 1000;
    steps.push({ name, seconds, passed });
    process.stdout.write(`== ${name} ${passed ? "done" : "FAILED"} in ${seconds.toFixed(1)} s\n`);
  }
}

async function provideEtcd() {
  const etcd = await findEtcd();
  process.env["SD_ETCD_BIN"] = etcd.etcd;
  process.env["SD_ETCDCTL"] = etcd.etcdctl;
  process.stdout.write(`etcd ${etcd.version}: ${etcd.etcd}\n`);
  const wasNamed = Boolean(process.env["SD_ETCD_NEWER_BIN"]);
  try {
    const newer = await findNewerEtcds();
    process.env["SD_ETCD_NEWER_BIN"] = newer.map(({ etcd }) => etcd).join(delimiter);
    for (const { etcd, version } of newer) process.stdout.write(`etcd ${version}: ${etcd}\n`);
  } catch (error) {
    if (wasNamed) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    process.stdout.write(`the version matrix runs with ${etcd.version} only: ${reason}\n`);
  }
}

async function lint() {
  await run(tool("biome"), ["check", "."], { cwd: checkout });
  await run(tool("depcruise"), ["--config", ".dependency-cruiser.mjs", "packages", "apps"], {
    cwd: checkout,
  });
}

async function typecheck() {
  await turbo("typecheck");
  for (const folder of ["tools", "bench"]) await run(tool("tsc"), ["-p", folder], { cwd: checkout });
  // The next TypeScript, which has no API for the other tools yet, must accept the same sources.
  const next = join(checkout, "node_modules", "typescript7", "bin", "tsc");
  for (const parent of ["packages", "apps"]) {
    for (const name of readdirSync(join(checkout, parent))) {
      await run(process.execPath, [next, "-p", join(parent, name)], { cwd: checkout });
    }
  }
}

/** @param {string[]} filters */
async function test(filters) {
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  let succeeded = false;
  try {
    await run(tool("vitest"), ["run", ...reporters, ...filters], { cwd: checkout, show: true });
    succeeded = true;
  } finally {
    const report = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, "utf8")) : undefined;
    writeFileSync(summaryFile, `${summaryLine(countTests(report, succeeded))}\n`);
  }
}

/** @param {string[]} filters */
async function runSteps(filters) {
  const isWhole = filters.length === 0;
  await step("set up", setUp);
  await step("etcd", provideEtcd);
  await step("build", build);
  if (isWhole) await step("lint", lint);
  if (isWhole) await step("typecheck", typecheck);
  await step("test", () => test(filters));
}

function printSummary() {
  const width = Math.max(...steps.map(({ name }) => name.length));
  const lines = steps.map(
    ({ name, seconds, passed }) =>
      `${name.padEnd(width)}  ${seconds.toFixed(1).padStart(6)} s${passed ? "" : "  FAILED"}`,
  );
  process.stdout.write(`\n${lines.join("\n")}\n\n`);
  if (existsSync(summaryFile)) process.stdout.write(readFileSync(summaryFile, "utf8"));
}

const filters = process.argv.slice(2);
if (filters.includes("--help") || filters.includes("-h")) {
  process.stdout.write(help);
} else {
  rmSync(reportFolder, { recursive: true, force: true });
  // A run that is killed leaves temporary files: here, until the next run.
  process.env["TMPDIR"] = join(reportFolder, "tmp");
  mkdirSync(process.env["TMPDIR"], { recursive: true });
  try {
    await runSteps(filters);
  } catch (error) {
    process.exitCode =
      error instanceof CommandFailed && error.output === "" ? error.exitCode : reportFailure(error);
  }
  printSummary();
}
