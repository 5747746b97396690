import {
  isLoopback,
  type MemoryEtcdServer,
  type ServeOptions,
  serveMemoryEtcd,
} from "../grpc/serve-memory-etcd.js";
import { MemoryEtcd } from "../memory/memory-etcd.js";
import { help, readFlags, UsageError } from "./flags.js";

/** Where a command writes, and what ends it. */
export interface CommandIo {
  out(text: string): void;
  error(text: string): void;
  readonly signal: AbortSignal;
}

/** How long a watch that starts in the past waits for each batch, on a real clock. */
const CATCH_UP_DELAY_MS = 20;

/**
 * Serves an etcd in memory until `signal` aborts; writes one line when it is ready.
 *
 * @returns the exit code: 0, 1 if it cannot listen, 2 for a wrong flag. Failures are one line each.
 */
export async function runEtcd(argv: readonly string[], { out, error, signal }: CommandIo): Promise<number> {
  try {
    const { help: wantsHelp, port, host, allowRemote, version, keepChanges } = readFlags(argv);
    if (wantsHelp) {
      out(help);
      return 0;
    }
    if (!allowRemote && !isLoopback(host)) {
      throw new UsageError(`--host ${host} lets other machines in: add --allow-remote if that is meant`);
    }
    await using memory = new MemoryEtcd({
      version,
      catchUpDelayMs: CATCH_UP_DELAY_MS,
      retainedChanges: keepChanges,
    });
    const { endpoint } = await serve(memory, { port, host, allowRemote });
    out(`sd-etcd is ready on ${endpoint}, like etcd ${version}, in memory: it keeps nothing\n`);
    await aborted(signal);
    return 0;
  } catch (failure) {
    if (failure instanceof UsageError) {
      error(`${failure.message} (--help shows the flags)\n`);
      return 2;
    }
    const message = failure instanceof Error ? failure.message : String(failure);
    error(`${message.replaceAll("\n", " ")}\n`);
    return 1;
  }
}

async function serve(
  memory: MemoryEtcd,
  options: Required<Omit<ServeOptions, "keepaliveMs">>,
): Promise<MemoryEtcdServer> {
  try {
    return await serveMemoryEtcd(memory, options);
  } catch (error) {
    const { host, port } = options;
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new Error(`port ${port} of ${host} is taken: choose another with --port, or 0 for a free one`);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
