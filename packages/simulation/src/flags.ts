import process from "node:process";

/** Reads a flag that is a whole number. @throws TypeError in words for the user */
export function whole(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new TypeError(`--${name} must be a whole number from 0, got ${JSON.stringify(text)}`);
}

/** As `whole()`, but not 0: who runs nothing finds nothing. @throws TypeError in words for the user */
export function positive(name: string, text: string): number {
  const value = whole(name, text);
  if (value > 0) return value;
  throw new TypeError(`--${name} must be a whole number of at least 1, got ${JSON.stringify(text)}`);
}

/** Runs a command; a flag that it does not take is told in one line, with exit code 2. */
export async function runCommand(main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    process.stderr.write(`${error.message.split("\n")[0]} (--help shows the flags)\n`);
    process.exitCode = 2;
  }
}
