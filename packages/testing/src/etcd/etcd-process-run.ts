import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { guardProcess } from "../process/guard.js";
import { cleanEnv } from "./binaries.js";
import type { LogTail } from "./log-tail.js";

/** After SIGTERM; etcd needs some milliseconds. */
const STOP_TIMEOUT_MS = 5_000;

/** One life of an etcd process. It ends at the latest when this process does. */
export class EtcdProcessRun {
  /** Resolves when it has ended and its log is complete. Never rejects. */
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  #hasEnded = false;

  constructor(binary: string, version: string, flags: readonly string[], log: LogTail) {
    // etcd 3.4 wants to be told that it may run on anything but amd64.
    const unsupported =
      process.arch !== "x64" && version.startsWith("3.4.") ? { ETCD_UNSUPPORTED_ARCH: process.arch } : {};
    const env = { ...cleanEnv(), ...unsupported };
    const child = spawn(binary, flags, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
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
}
