import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Finds the etcd binary: `binary` if given, else the variable `SD_ETCD_BIN`, else the `PATH`.
 *
 * @throws Error that tells how to get one.
 */
export function findEtcd(binary?: string): string {
  if (binary !== undefined) return checked(binary, "binary");
  const named = process.env["SD_ETCD_BIN"];
  if (named) return checked(named, "SD_ETCD_BIN");
  const found = inPath("etcd");
  if (found) return found;
  throw new Error(
    "no etcd binary: run the tests by `npm test`, which provides one, set SD_ETCD_BIN to the path of one, or install etcd in the PATH",
  );
}

/**
 * Finds the etcdctl binary: beside `etcd`, whose version it then has, else the variable `SD_ETCDCTL`, else the
 * `PATH`.
 *
 * @throws Error that tells how to get one.
 */
export function findEtcdctl(etcd: string): string {
  return findTool("etcdctl", "SD_ETCDCTL", etcd);
}

/**
 * Finds the etcdutl binary, which restores snapshots since etcd 3.6: beside `etcd`, else the variable
 * `SD_ETCDUTL`, else the `PATH`.
 *
 * @throws Error that tells how to get one.
 */
export function findEtcdutl(etcd: string): string {
  return findTool("etcdutl", "SD_ETCDUTL", etcd);
}

/** The version that a binary of etcd reports, like `3.5.16`. */
export async function etcdVersion(etcd: string): Promise<string> {
  const { stdout } = await run(etcd, ["--version"], { env: cleanEnv() });
  const version = /etcd Version: (\S+)/.exec(stdout)?.[1];
  if (version === undefined) throw new Error(`${etcd} --version said no version: ${stdout}`);
  return version;
}

/** Runs a program to its end and returns what it wrote to stdout. @throws Error with its stderr. */
export async function runProgram(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { stdout } = await run(program, args, { env: { ...cleanEnv(), ...env }, maxBuffer: 256 * 2 ** 20 });
  return stdout;
}

/**
 * The environment without the variables that etcd and etcdctl take for flags, and with the one by which etcd 3.4
 * lets itself be run on other machines than amd64, if only for `--version`.
 */
export function cleanEnv(arch: string = process.arch): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^ETCD(CTL)?_/.test(name));
  return { ...Object.fromEntries(kept), ...(arch === "x64" ? {} : { ETCD_UNSUPPORTED_ARCH: arch }) };
}

function findTool(name: string, variable: string, etcd: string): string {
  const beside = join(dirname(etcd), name);
  if (isExecutable(beside)) return beside;
  const named = process.env[variable];
  if (named) return checked(named, variable);
  const found = inPath(name);
  if (found) return found;
  throw new Error(`no ${name} binary: put one beside ${etcd}, or set ${variable} to the path of one`);
}

function checked(path: string, source: string): string {
  if (!isExecutable(path)) throw new Error(`${source} is not an executable file: ${path}`);
  return path;
}

function inPath(name: string): string | undefined {
  const directories = (process.env["PATH"] ?? "").split(delimiter).filter((directory) => directory !== "");
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
