import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { guardProcess } from "../process/guard.js";
import type { Certificate } from "../tls/certificate-authority.js";
import { cleanEnv } from "./binaries.js";
import { isHealthy } from "./health.js";
import type { LogTail } from "./log-tail.js";

/** After SIGTERM; etcd needs some milliseconds. */
const STOP_TIMEOUT_MS = 5_000;

/** One life of an etcd process, or of another of the binary's commands. It ends at the latest when this process does. */
export class EtcdProcessRun {
  /** Resolves when it has ended and its log is complete. Never rejects. */
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #log: LogTail;
  #hasEnded = false;

  constructor(binary: string, flags: readonly string[], log: LogTail) {
    const child = spawn(binary, flags, { env: cleanEnv(), stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.#log = log;
    const guard = guardProcess(child.pid);
    for (const input of [child.stdout, child.stderr]) log.follow(input);
    child.on("error", (error) => log.add(String(error)));
    this.exited = once(child, "close")
      .catch(() => {})
      .then(() => {
        guard[Symbol.dispose]();
        this.#hasEnded = true;
      });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it by SIGTERM, frozen or not, and by SIGKILL if it takes longer than 5 seconds. */
  async stop(): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_TIMEOUT_MS);
    await this.exited;
    clearTimeout(timer);
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }

  /**
   * Waits until `endpoint` says that it can serve.
   *
   * @throws Error with the log if the process ends before, or it takes longer than that.
   */
  async served(
    endpoint: string,
    { timeoutMs, client }: { readonly timeoutMs: number; readonly client?: Certificate | undefined },
  ): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!(await isHealthy(endpoint, 1_000, client))) {
      if (this.hasEnded) throw new Error(`etcd ended before it served; its log:\n${this.#log}`);
      if (performance.now() > deadline) {
        throw new Error(`etcd did not serve within ${timeoutMs} ms; its log:\n${this.#log}`);
      }
      await pause(20);
    }
  }
}
