import { SdError } from "@sd/core";
import { UsageError } from "./flags.js";

/** A signal that aborts on SIGINT or SIGTERM. A second one ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(name === "SIGINT" ? 130 : 143);
    controller.abort(name);
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  return controller.signal;
}

/** Runs `main`; a wrong flag or value gets one line on stderr and exit code 2, any other failure code 1. */
export async function runApp(main: () => Promise<void>): Promise<void> {
  // A reader that has gone, as in `| head`, is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  try {
    await main();
  } catch (error) {
    const isUsage = error instanceof UsageError || SdError.is(error, "SD_INVALID_ARGUMENT");
    process.stderr.write(isUsage ? `${error.message} (see --help)\n` : `${String(error)}\n`);
    process.exitCode = isUsage ? 2 : 1;
  }
}
