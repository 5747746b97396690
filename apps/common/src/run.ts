import { SdError } from "@sd/core";
import { UsageError } from "./flags.js";

/** npm passes on the Ctrl-C that the terminal has sent already: so soon, a second one is the same. */
const ECHO_MS = 300;

/**
 * A signal that aborts on SIGINT or SIGTERM, and when the reader of stdout has gone, as in `| head`. SIGINT or
 * SIGTERM more than 300 ms after the first ends the process at once.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let echoUntil = 0;
  const stop = (name: NodeJS.Signals): void => {
    const now = performance.now();
    if (!controller.signal.aborted) echoUntil = now + ECHO_MS;
    else if (now > echoUntil) process.exit(name === "SIGINT" ? 130 : 143);
    controller.abort(name);
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  process.stdout.on("error", (error) => {
    if (isReaderGone(error)) controller.abort("EPIPE");
  });
  return controller.signal;
}

/**
 * Runs `main`; a wrong flag or value gets one line on stderr and exit code 2, any other failure code 1.
 *
 * A reader of stdout or stderr that has gone is no failure: nothing more is written there, and `main` goes on
 * until it ends; see `stopSignal()`.
 */
export async function runApp(main: () => Promise<void>): Promise<void> {
  for (const output of [process.stdout, process.stderr]) {
    output.on("error", (error) => {
      if (!isReaderGone(error)) throw error;
      // Keeps back what is still to come; it is lost with the process.
      output.cork();
    });
  }
  try {
    await main();
  } catch (error) {
    const isUsage = error instanceof UsageError || SdError.is(error, "SD_INVALID_ARGUMENT");
    process.stderr.write(isUsage ? `${error.message} (see --help)\n` : `${String(error)}\n`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

function isReaderGone(error: NodeJS.ErrnoException): boolean {
  return error.code === "EPIPE";
}
