/** Installs and builds the workspace, each only if need be. Also a command: `node tools/setup.mjs`. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { checkout, manifest, tool } from "./lib/checkout.mjs";
import { runMain } from "./lib/command-line.mjs";
import { run } from "./lib/run.mjs";

/** Holds what was installed last: a digest of the lockfile and all manifests. */
const stampFile = join(checkout, "node_modules", ".sd-setup");

/**
 * Installs exactly what the lockfile says, unless that is what is there. Says in one line that it does.
 *
 * @throws {Error} if this Node is too old, or the installation failed
 */
export async function setUp() {
  requireNode();
  const wanted = wantedStamp();
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === wanted) return;
  say(`installing with ${manifest.packageManager}`);
  await pnpm(["install", "--frozen-lockfile", "--prefer-offline"]);
  writeFileSync(stampFile, wanted);
}

/** Builds all packages and apps; what has not changed is taken from turbo's cache. */
export async function build() {
  say(
    existsSync(join(checkout, "apps", "client", "dist"))
      ? "building"
      : "building, half a minute the first time",
  );
  await turbo("build");
}

/**
 * Runs one turbo task over the workspace, quiet unless it fails.
 *
 * @param {string} task
 */
export async function turbo(task) {
  await withPnpm([tool("turbo"), "run", task, "--output-logs=errors-only"]);
}

/**
 * Runs the pinned pnpm, which need not be installed.
 *
 * @param {string[]} args
 * @param {string} [cwd]
 */
export async function pnpm(args, cwd) {
  return withPnpm(["pnpm", ...args], cwd);
}

/**
 * Runs a command with the pinned pnpm on its PATH: turbo looks for it there.
 *
 * @param {string[]} command
 * @param {string} [cwd]
 */
async function withPnpm(command, cwd = checkout) {
  const env = {
    ...process.env,
    CI: "true", // pnpm never asks
    TURBO_TELEMETRY_DISABLED: "1",
    TURBO_NO_UPDATE_NOTIFIER: "1",
    npm_config_update_notifier: "false",
  };
  const npx = ["--yes", "--prefer-offline", `--package=${manifest.packageManager}`, "--"];
  return run("npx", [...npx, ...command], {
    cwd,
    env,
    name: command
      .map((word) => basename(word))
      .slice(0, 3)
      .join(" "),
  });
}

/** @param {string} text */
const say = (text) => process.stdout.write(`setup: ${text}\n`);

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = (/\d+\.\d+/.exec(manifest.engines.node)?.[0] ?? "")
    .split(".")
    .map(Number);
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return;
  throw new Error(`this needs Node ${manifest.engines.node}, and this is Node ${process.versions.node}`);
}

function wantedStamp() {
  const digest = createHash("sha256").update(
    `${process.platform} ${process.arch} ${manifest.packageManager}\n`,
  );
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json", ...workspaceManifests()]) {
    digest.update(`${file}\n`).update(readFileSync(join(checkout, file)));
  }
  return digest.digest("hex");
}

function workspaceManifests() {
  const folders = ["packages", "apps"].flatMap((parent) =>
    readdirSync(join(checkout, parent)).map((name) => join(parent, name)),
  );
  return [...folders, "bench"]
    .map((folder) => join(folder, "package.json"))
    .filter((file) => existsSync(join(checkout, file)))
    .sort();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await runMain(async () => {
    await setUp();
    await build();
    return 0;
  });
}
