import { closeSync, openSync } from "node:fs";
import process from "node:process";

/** A flag that cannot work: its message is the one line that the user sees. */
export class UsageError extends Error {}

/** Reads a flag that is a whole number. @throws UsageError */
export function whole(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new UsageError(`--${name} must be a whole number from 0, got ${JSON.stringify(text)}`);
}

/** As `whole()`, but not 0: who runs nothing finds nothing. @throws UsageError */
export function positive(name: string, text: string): number {
  const value = whole(name, text);
  if (value > 0) return value;
  throw new UsageError(`--${name} must be a whole number of at least 1, got ${JSON.stringify(text)}`);
}

/** Checks a flag that names a file to write, before a run that may take hours. @throws UsageError */
export function writable(name: string, path: string | undefined): void {
  if (path === undefined) return;
  try {
    closeSync(openSync(path, "a"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `--${name} must be a file that can be written, got ${JSON.stringify(path)} (${code})`,
    );
  }
}

/** Refuses flags that say different things. @throws UsageError */
export function oneOf(flags: Readonly<Record<string, boolean>>): void {
  const given = Object.keys(flags).filter((name) => flags[name]);
  if (given.length < 2) return;
  throw new UsageError(`of ${given.map((name) => `--${name}`).join(" and ")} only one can be given`);
}

/** Runs a command; a flag that it does not take is told in one line, with exit code 2. */
export async function runCommand(main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!isUsage(error)) throw error;
    // Node adds advice after the first sentence.
    process.stderr.write(`${error.message.split(/\.\s|\n/)[0]} (--help shows the flags)\n`);
    process.exitCode = 2;
  }
}

function isUsage(error: unknown): error is Error {
  if (error instanceof UsageError) return true;
  return error instanceof Error && /^ERR_PARSE_ARGS/.test((error as NodeJS.ErrnoException).code ?? "");
}
