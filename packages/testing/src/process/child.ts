import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { requireText, requireWait } from "../check/arguments.js";
import { freezeProcess } from "./freeze.js";
import { guardProcess } from "./guard.js";

/** One line that a child has written. */
export interface Line {
  /** Its place among all lines of the child, from 0. */
  readonly index: number;
  readonly text: string;
  readonly stream: "stdout" | "stderr";
  /** When it was received, in milliseconds of this process's monotonic clock (`performance.now()`). */
  readonly at: number;
}

/** How a child ended: one of the two is `null`. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface NodeOptions {
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** For node itself, before the script. */
  readonly nodeArgs?: readonly string[];
}

export interface LineWait {
  /** Default 10000. */
  readonly timeoutMs?: number;
  /** The index of the first line that counts. Default 0: lines of the past count too. */
  readonly from?: number;
}

/**
 * Starts a script in a Node process of its own.
 *
 * It is killed when it is closed, and at the latest when this process ends, however that ends.
 */
export function startNode(
  scriptPath: string,
  args: readonly string[] = [],
  options: NodeOptions = {},
): NodeChild {
  requireText("scriptPath", scriptPath);
  const { env = {}, cwd, nodeArgs = [] } = options;
  const child = spawn(process.execPath, [...nodeArgs, scriptPath, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(cwd === undefined ? {} : { cwd }),
  });
  return new NodeChild(child);
}

/** A running Node process: what it writes, and the means to disturb it. */
export class NodeChild implements AsyncDisposable {
  /** `undefined` if it could not be started. */
  readonly pid: number | undefined;
  /** Resolves when it has ended and all its lines are here. Never rejects. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #lines: Line[] = [];
  readonly #waiting = new Set<() => void>();
  #exit: Exit | undefined;

  /** @internal Use `startNode()`. */
  constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid;
    const guard = guardProcess(this.pid);
    for (const stream of ["stdout", "stderr"] as const) {
      const input = child[stream];
      if (!input) continue;
      createInterface({ input }).on("line", (text) => {
        this.#lines.push({ index: this.#lines.length, text, stream, at: performance.now() });
        this.#wake();
      });
    }
    this.exited = new Promise((resolve) => {
      child.on("exit", () => guard[Symbol.dispose]());
      child.on("error", () => {});
      child.on("close", (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
        this.#wake();
      });
    });
  }

  /** All lines so far, of stdout and stderr, in the order of their arrival. */
  get lines(): readonly Line[] {
    return this.#lines;
  }

  /**
   * Waits for a line that contains a text, matches a pattern or satisfies a predicate.
   *
   * @throws Error with all lines, if none comes in time or the child ends first.
   */
  async waitForLine(
    wanted: string | RegExp | ((line: Line) => boolean),
    { timeoutMs = 10_000, from = 0 }: LineWait = {},
  ): Promise<Line> {
    requireWait("timeoutMs", timeoutMs);
    const deadline = performance.now() + timeoutMs;
    for (let index = from; ; index += 1) {
      while (index >= this.#lines.length) {
        const leftMs = deadline - performance.now();
        if (this.#exit) throw this.#missing(wanted, `the child ended with ${JSON.stringify(this.#exit)}`);
        if (leftMs <= 0) throw this.#missing(wanted, `not in ${timeoutMs} ms`);
        await this.#change(leftMs);
      }
      const line = this.#lines[index] as Line;
      if (matches(line, wanted)) return line;
    }
  }

  /** Sends a signal, if it still runs. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Stops it where it is, by SIGSTOP; resolves once it stands. Does nothing if it has ended. */
  async freeze(): Promise<void> {
    if (this.pid !== undefined && !this.#exit) await freezeProcess(this.pid);
  }

  /** Lets it run on after `freeze()`. */
  thaw(): void {
    this.signal("SIGCONT");
  }

  /** Kills it by SIGKILL, if it still runs, and waits for its end. Idempotent. */
  async close(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }

  #missing(wanted: unknown, why: string): Error {
    const output = this.#lines.map(({ stream, text }) => `  ${stream}: ${text}`).join("\n");
    return new Error(`no line ${String(wanted)}: ${why}; its lines:\n${output || "  (none)"}`);
  }
}

function matches(line: Line, wanted: string | RegExp | ((line: Line) => boolean)): boolean {
  if (typeof wanted === "string") return line.text.includes(wanted);
  if (typeof wanted === "function") return wanted(line);
  return line.text.search(wanted) >= 0;
}
