/** The few habits that all commands here share: flags, errors, exit codes. */

import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { CommandFailed } from "./run.mjs";

/** A command that was called in a wrong way. Exit code 2. */
export class UsageError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "UsageError";
  }
}

/**
 * Reads flags; nothing but the named ones is accepted.
 *
 * @template {NonNullable<import("node:util").ParseArgsConfig["options"]>} T
 * @param {T} options
 * @param {string[]} [args]
 * @throws {UsageError} in one sentence
 */
export function readFlags(options, args = process.argv.slice(2)) {
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split(/\.\s/)[0]?.replaceAll("\n", " ") ?? message);
  }
}

/**
 * Reads a flag that is a positive number.
 *
 * @param {string} name
 * @param {string | undefined} value
 * @throws {UsageError}
 */
export function positiveNumber(name, value) {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value.trim() !== "" && Number.isFinite(number) && number > 0) return number;
  throw new UsageError(`--${name} must be a number above 0, got ${JSON.stringify(value)}`);
}

/**
 * Reads a flag that is a whole number of at least 1.
 *
 * @param {string} name
 * @param {string | undefined} value
 * @throws {UsageError}
 */
export function wholeNumber(name, value) {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (/^\d+$/.test(value) && Number.isSafeInteger(number) && number > 0) return number;
  throw new UsageError(`--${name} must be a whole number of at least 1, got ${JSON.stringify(value)}`);
}

/**
 * Checks a flag that names a file to write, before a run that takes minutes.
 *
 * @param {string} name
 * @param {string | undefined} path
 * @throws {UsageError}
 */
export function requireWritable(name, path) {
  if (path === undefined) return;
  try {
    closeSync(openSync(path, "a"));
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw new UsageError(
      `--${name} must be a file that can be written, got ${JSON.stringify(path)} (${code})`,
    );
  }
}

/**
 * Runs a command's main function; an expected failure is one line (and the output of what failed), not a stack.
 *
 * @param {() => Promise<number | undefined>} main gives the exit code, 0 if none
 */
export async function runMain(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    process.exitCode = reportFailure(error);
  }
}

/**
 * Tells a failure on stderr and gives the exit code for it.
 *
 * @param {unknown} error
 */
export function reportFailure(error) {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message} (--help shows the flags)\n`);
    return 2;
  }
  if (error instanceof CommandFailed) {
    process.stderr.write(`${error.output.trimEnd()}\n${error.message}\n`.trimStart());
    return error.exitCode;
  }
  process.stderr.write(`${error instanceof Error ? expected(error) : String(error)}\n`);
  return 1;
}

/** @param {Error} error */
const expected = (error) => (error.constructor === Error ? error.message : (error.stack ?? error.message));
