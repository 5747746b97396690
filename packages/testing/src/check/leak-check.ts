import { createHook } from "node:async_hooks";
import { invalidArgument } from "@sd/core";

/** What a leak looks like, by the names of Node's `async_hooks`. Unref'd timers are among them. */
const KINDS: Readonly<Record<string, string>> = {
  Timeout: "timer",
  TCPWRAP: "socket",
  TCPSERVERWRAP: "listening socket",
  PIPEWRAP: "pipe",
  PIPESERVERWRAP: "listening pipe",
  PROCESSWRAP: "process",
};

/** The runner makes timers of its own while a test runs; the watchdog stays as long as the process. */
const NOT_OURS = /node_modules\/(\.pnpm\/)?(@?vitest|tinypool)|new Watchdog/;

/** Node keeps the time for `date` headers, for all servers of the process, up to a second. */
const NODES_OWN = /at utcDate \(node:internal/;

interface Resource {
  readonly kind: string;
  readonly site: string;
}

export interface LeakCheckOptions {
  /** Leaves out what was made at a place that matches: a file and a line, as in a stack. */
  readonly ignore?: RegExp;
}

/** A check that all resources made since its start are gone again. */
export interface LeakCheck extends Disposable {
  /** How many are open now. */
  readonly open: number;
  /**
   * Waits until all are gone, and ends the check.
   *
   * @throws Error that lists what is left after `withinMs` (default 1000), with the place where it was made.
   */
  assertClean(options?: { readonly withinMs?: number }): Promise<void>;
}

/**
 * Begins to watch for timers (unref'd ones too), sockets, pipes and child processes of the whole process.
 *
 * What existed before does not count. Tests that run at the same time in the same process do: use it where
 * they run one by one. It slows promises down while it runs; end it by `assertClean()` or by disposing it.
 */
export function leakCheck({ ignore }: LeakCheckOptions = {}): LeakCheck {
  // An error inside of the hook would end the process.
  if (ignore !== undefined && !(ignore instanceof RegExp))
    throw invalidArgument("ignore", "a RegExp", ignore);
  const resources = new Map<number, Resource>();
  let isOwn = false;
  const hook = createHook({
    init(id, type) {
      const kind = KINDS[type];
      if (kind === undefined || isOwn) return;
      const site = creationSite();
      if (site && !NOT_OURS.test(site) && !ignore?.test(site)) resources.set(id, { kind, site });
    },
    destroy(id) {
      resources.delete(id);
    },
  }).enable();

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      isOwn = true;
      setTimeout(resolve, ms);
      isOwn = false;
    });

  return {
    get open() {
      return resources.size;
    },
    async assertClean({ withinMs = 1_000 } = {}) {
      const deadline = performance.now() + withinMs;
      try {
        // Node reports the end of a timer a little later.
        await pause(0);
        await pause(0);
        while (resources.size > 0 && performance.now() < deadline) await pause(10);
      } finally {
        hook.disable();
      }
      if (resources.size === 0) return;
      const list = [...resources.values()].map(({ kind, site }) => `  ${kind} made ${site}`);
      throw new Error(`${resources.size} left open after ${withinMs} ms:\n${list.join("\n")}`);
    },
    [Symbol.dispose]: () => void hook.disable(),
  };
}

/** The first frame of the stack that is neither Node's nor this file's; `undefined` for what is Node's own. */
function creationSite(): string | undefined {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 40;
  const frames = (new Error().stack ?? "").split("\n").slice(3);
  Error.stackTraceLimit = stackTraceLimit;
  if (frames.some((line) => NODES_OWN.test(line))) return undefined;
  const frame = frames.find((line) => !/\(?node:|<anonymous>/.test(line));
  return frame?.trim() ?? "inside node";
}
