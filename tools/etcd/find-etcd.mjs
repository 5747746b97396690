/** Finds a real etcd, and fetches it where the distribution has it. */

import { access, constants, stat } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { cacheFolder } from "../lib/checkout.mjs";
import { CommandFailed, run } from "../lib/run.mjs";
import { machineNewerSuites, unpackPrograms } from "./apt-archive.mjs";

/** @typedef {{ etcd: string, etcdctl: string, version: string }} Etcd two absolute paths, and for example `3.4.23` */

/** The environment variables that name an etcd: the binary, or a folder that holds `etcd` and `etcdctl`. */
const variables = { system: "SD_ETCD_BIN", newer: "SD_ETCD_NEWER_BIN" };
const oldest = "3.4";

/**
 * Finds etcd and etcdctl, and proves that they run.
 *
 * `system`: what `SD_ETCD_BIN` names, else PATH, else the cache folder, else the distribution's packages, which are
 * unpacked into the cache folder. `newer`: the first of `findNewerEtcds()`. `suite`: the cache or the packages of that suite alone.
 *
 * @param {{ version?: "system" | "newer", suite?: string | undefined }} [options]
 * @returns {Promise<Etcd>}
 * @throws {Error} that says what was tried and how to install etcd
 */
export async function findEtcd({ version = "system", suite } = {}) {
  if (suite !== undefined) return fromArchive(suite);
  if (version === "newer") return findNewer();
  const named = process.env[variables.system];
  return named ? fromVariable(variables.system, named) : findSystem();
}

/**
 * Makes the environment in which an etcd or etcdctl of ours runs: free of the caller's `ETCD_…` settings.
 *
 * @returns {NodeJS.ProcessEnv}
 */
export function etcdEnvironment() {
  const own = Object.entries(process.env).filter(([name]) => !/^ETCD(CTL)?_/.test(name));
  // etcd 3.4 refuses to run on arm64 unless told so, even for --version.
  return {
    ...Object.fromEntries(own),
    ETCDCTL_API: "3",
    ...(process.arch === "arm64" && { ETCD_UNSUPPORTED_ARCH: "arm64" }),
  };
}

async function findSystem() {
  /** @type {string[]} */
  const tried = [];
  const etcd = await onPath("etcd");
  const etcdctl = await onPath("etcdctl");
  if (etcd && etcdctl) {
    try {
      return await proven(etcd, etcdctl);
    } catch (error) {
      tried.push(messageOf(error));
    }
  } else {
    tried.push(`${etcd ? "etcdctl is" : etcdctl ? "etcd is" : "etcd and etcdctl are"} not on PATH`);
  }
  try {
    return await fromArchive(undefined);
  } catch (error) {
    tried.push(messageOf(error));
  }
  throw new Error(`no etcd found: ${tried.join("; ")}.\n${advice()}`);
}

async function findNewer() {
  const [first] = await findNewerEtcds();
  return /** @type {Etcd} */ (first);
}

/**
 * Finds every newer etcd that can be had: those that `SD_ETCD_NEWER_BIN` names (several are separated as in PATH),
 * else one of each newer suite of the distribution, from the cache or its packages.
 *
 * @returns {Promise<Etcd[]>} at least one, each version once
 * @throws {Error} that says what was tried
 */
export async function findNewerEtcds() {
  const named = process.env[variables.newer];
  if (named) {
    const names = named.split(delimiter).filter((name) => name !== "");
    return Promise.all(names.map((name) => fromVariable(variables.newer, name)));
  }
  const suites = (await onPath("apt-get")) ? await machineNewerSuites() : [];
  const tried = suites.length === 0 ? ["no newer suite of this distribution is known"] : [];
  /** @type {Map<string, Etcd>} */
  const found = new Map();
  for (const suite of suites) {
    try {
      const etcd = await fromArchive(suite);
      if (!found.has(etcd.version)) found.set(etcd.version, etcd);
    } catch (error) {
      tried.push(messageOf(error));
    }
  }
  if (found.size > 0) return [...found.values()];
  throw new Error(`no newer etcd found: ${tried.join("; ")} (${variables.newer} can name one)`);
}

/** @param {string | undefined} suite */
async function fromArchive(suite) {
  const folder = join(cacheFolder, "etcd", suite ?? "system");
  const programs = ["etcd", "etcdctl"];
  const cached = await Promise.all(programs.map((program) => isProgram(join(folder, program))));
  if (!cached.every(Boolean)) {
    if (!(await onPath("apt-get")) || !(await onPath("dpkg"))) {
      throw new Error(`nothing in ${folder}, and there is no apt-get to fetch it with`);
    }
    await unpackPrograms({ packages: ["etcd-server", "etcd-client"], programs, folder, suite });
  }
  return proven(join(folder, "etcd"), join(folder, "etcdctl"));
}

/**
 * @param {string} variable
 * @param {string} value
 */
async function fromVariable(variable, value) {
  const isFolder = (await stat(value).catch(() => undefined))?.isDirectory() ?? false;
  const etcd = isFolder ? join(value, "etcd") : value;
  const beside = join(dirname(etcd), "etcdctl");
  if (!(await isProgram(etcd))) throw new Error(`${variable} is ${value}, but ${etcd} is not a program`);
  const etcdctl = (await isProgram(beside)) ? beside : await onPath("etcdctl");
  if (!etcdctl) throw new Error(`${variable} is ${value}, but there is no etcdctl beside it or on PATH`);
  return proven(etcd, etcdctl);
}

/**
 * @param {string} etcd
 * @param {string} etcdctl
 * @returns {Promise<Etcd>}
 */
async function proven(etcd, etcdctl) {
  const version = /etcd Version: (\d+\.\d+\.\d+)/.exec(await output(etcd, "--version"))?.[1];
  if (!version) throw new Error(`${etcd} --version does not name a version of etcd`);
  await output(etcdctl, "version");
  if (compareVersions(version, oldest) < 0)
    throw new Error(`${etcd} is etcd ${version}; ${oldest} is the oldest that works`);
  return { etcd, etcdctl, version };
}

/**
 * @param {string} program
 * @param {string} argument
 */
async function output(program, argument) {
  try {
    return await run(program, [argument], { env: etcdEnvironment(), timeoutMs: 20_000 });
  } catch (error) {
    const said = error instanceof CommandFailed ? ` ${error.output.trim()}` : "";
    throw new Error(`${program} does not run on this machine: ${messageOf(error)}${said}`);
  }
}

/**
 * Compares dotted versions by number.
 *
 * @param {string} a
 * @param {string} b
 * @returns {number} below 0 if `a` is older
 */
export function compareVersions(a, b) {
  return a.localeCompare(b, "en", { numeric: true });
}

/** @param {string} name */
async function onPath(name) {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter).filter(Boolean)) {
    const file = join(folder, name);
    if (await isProgram(file)) return file;
  }
  return undefined;
}

/** @param {string} file */
async function isProgram(file) {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));

function advice() {
  const install =
    process.platform === "darwin"
      ? "Install it with: brew install etcd"
      : "Install your distribution's etcd (Debian and Ubuntu: apt-get install etcd-server etcd-client)";
  return `${install}, or set ${variables.system} to the etcd binary, or to a folder that holds etcd and etcdctl.`;
}
