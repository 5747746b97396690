/** Takes programs out of packages of the machine's own distribution, without root and without installing anything. */

import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { CommandFailed, run } from "../lib/run.mjs";
import { newerSuites, readSources, sourcesForSuite } from "./apt-sources.mjs";

/** A dead mirror ends the attempt soon; apt by itself would wait for minutes. */
const patience = ["Acquire::Retries=1", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20"];
const commandTimeoutMs = 180_000;

/**
 * Downloads packages by name, unpacks them and leaves the named programs in `folder`, which must not exist yet.
 *
 * Two processes may do it at once: each works in a folder of its own beside it, and one rename decides.
 * The archive's signatures are checked by apt against the machine's own keys; an archive they do not know is an error.
 *
 * @param {{ packages: string[], programs: string[], folder: string, suite: string | undefined }} options
 *   `suite` is another suite of the same distribution; undefined takes what the machine itself is configured for
 * @throws {Error} that says what apt said
 */
export async function unpackPrograms({ packages, programs, folder, suite }) {
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(join(dirname(folder), ".unpacking-"));
  try {
    const debs = await download(packages, work, suite);
    for (const deb of debs) await run("dpkg", ["-x", deb, join(work, "root")]);
    await mkdir(join(work, "ready"));
    for (const program of programs) {
      await rename(join(work, "root", "usr", "bin", program), join(work, "ready", program));
    }
    await rename(join(work, "ready"), folder).catch((error) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The newer suites of this machine's distribution, oldest first; none if they are not known. */
export async function machineNewerSuites() {
  return newerSuites(await machineSources());
}

/**
 * @param {string[]} packages
 * @param {string} work
 * @param {string | undefined} suite
 */
async function download(packages, work, suite) {
  const folder = join(work, "packages");
  await mkdir(folder);
  /** @param {string[]} options */
  const fetchWith = async (options) => {
    await apt([...options, "download", ...packages], folder);
    return (await readdir(folder)).filter((name) => name.endsWith(".deb")).map((name) => join(folder, name));
  };
  if (suite === undefined) {
    try {
      return await fetchWith([]);
    } catch (error) {
      if (!(error instanceof CommandFailed)) throw error;
      // No lists yet, or stale ones: fresh lists of our own, as those of the machine belong to root.
    }
  }
  const options = await privateState(work, suite);
  let updated = "";
  try {
    updated = await apt([...options, "update"], work);
  } catch (error) {
    // One bad source of many does not matter if the packages are found.
    updated = error instanceof CommandFailed ? error.output : String(error);
  }
  try {
    return await fetchWith(options);
  } catch (error) {
    const output = error instanceof CommandFailed ? error.output : String(error);
    throw new Error(
      `${packages.join(", ")} could not be fetched from the distribution's archive (${suite ?? "own suite"}): ${complaints(updated + output)}`,
    );
  }
}

/**
 * @param {string[]} args
 * @param {string} cwd
 */
function apt(args, cwd) {
  // The sandbox user of a root apt cannot write here; for any other user there is no sandbox.
  const options = [...patience, "APT::Sandbox::User=root", "Acquire::Languages=none"];
  const env = { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
  return run("apt-get", [...asFlags(options), "-qq", ...args], { cwd, env, timeoutMs: commandTimeoutMs });
}

/**
 * @param {string} work
 * @param {string | undefined} suite
 */
async function privateState(work, suite) {
  const state = join(work, "state");
  const cache = join(work, "cache");
  const status = join(work, "status");
  await mkdir(join(state, "lists", "partial"), { recursive: true });
  await mkdir(join(cache, "archives", "partial"), { recursive: true });
  await writeFile(status, "");
  const options = [`Dir::State=${state}`, `Dir::State::status=${status}`, `Dir::Cache=${cache}`];
  if (suite === undefined) return asFlags(options);
  const sources = sourcesForSuite(await machineSources(), suite);
  if (sources === "") throw new Error(`no source of this machine's apt leads to the suite ${suite}`);
  // The name's ending tells apt the form. A source may hold a password, so the file is ours alone.
  const file = join(work, "newer.sources");
  await writeFile(file, sources, { mode: 0o600 });
  const only = ["sourceparts", "preferences", "preferencesparts"].map(
    (name) => `Dir::Etc::${name}=/dev/null`,
  );
  return asFlags([...options, `Dir::Etc::sourcelist=${file}`, ...only]);
}

/** @param {string[]} options */
const asFlags = (options) => options.flatMap((option) => ["-o", option]);

/** The sources that this machine is configured with, wherever its apt keeps them. */
async function machineSources() {
  const shell = await run("apt-config", [
    "shell",
    "list",
    "Dir::Etc::sourcelist/f",
    "parts",
    "Dir::Etc::sourceparts/d",
  ]);
  const setting = (/** @type {string} */ name) => new RegExp(`^${name}='(.*)'$`, "m").exec(shell)?.[1] ?? "";
  const parts = await readdir(setting("parts")).catch(() => []);
  const files = [setting("list"), ...parts.sort().map((name) => join(setting("parts"), name))];
  const read = files.map(async (file) => {
    const form = /\.(list|sources)$/.exec(file)?.[1];
    if (form !== "list" && form !== "sources") return [];
    return readSources(await readFile(file, "utf8").catch(() => ""), form);
  });
  return (await Promise.all(read)).flat();
}

/** @param {string} output */
function complaints(output) {
  const lines = output.split("\n").filter((line) => /^(E|W|Err):?/.test(line.trim()));
  return (
    [...new Set(lines.length > 0 ? lines : output.trim().split("\n"))].join("; ") || "apt-get said nothing"
  );
}
