import process from "node:process";

/** Reads a flag that is a whole number. @throws TypeError in words for the user */
export function whole(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new TypeError(`--${name} must be a whole number, got ${JSON.stringify(text)}`);
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
