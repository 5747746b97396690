import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { freezeProcess } from "../process/freeze.js";
import { guardDirectory, guardProcess } from "../process/guard.js";
import { cleanEnv, etcdVersion, findEtcd, findEtcdctl, runProgram } from "./binaries.js";
import { isHealthy } from "./health.js";
import { freePorts, isPortFree } from "./ports.js";

export interface EtcdProcessOptions {
  /** The etcd binary. Default: the variable `SD_ETCD_BIN`, else `etcd` in the `PATH`. */
  readonly binary?: string;
  /** Flags of etcd, after ours: of a flag given twice, the last one counts. */
  readonly args?: readonly string[];
  /** The client port. Default: a free one. */
  readonly port?: number;
  /** How long it may take to serve. Default 20000. */
  readonly startTimeoutMs?: number;
}

interface Settings {
  readonly binary: string;
  readonly version: string;
  readonly directory: string;
  readonly port: number;
  readonly peerPort: number;
  readonly args: readonly string[];
  readonly startTimeoutMs: number;
}

/** Lines of etcd's log that are kept. */
const LOG_LINES = 500;

/** Free ports may be taken before etcd has them. */
const PORT_TRIES = 5;

/** Go's words for EADDRINUSE. */
const PORT_TAKEN = "address already in use";

/** After SIGTERM; etcd needs some milliseconds. */
const STOP_TIMEOUT_MS = 5_000;

/**
 * A real etcd: one member on loopback ports, with a data directory of its own under the temporary directory.
 *
 * It serves when `start()` and `restart()` resolve. Dispose it: it is killed and its data are removed, which
 * happens at the latest when this process ends, even by SIGKILL. For Linux and macOS.
 */
export class EtcdProcess {
  /** Where clients connect: `http://127.0.0.1:<port>`, the same for its whole life. */
  readonly endpoint: string;
  readonly port: number;
  /** Like `3.5.16`. */
  readonly version: string;
  readonly #settings: Settings;
  readonly #guard: Disposable;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;
  #exit: Promise<unknown> = Promise.resolve();

  private constructor(settings: Settings) {
    this.#settings = settings;
    this.#guard = guardDirectory(settings.directory);
    this.port = settings.port;
    this.endpoint = `http://127.0.0.1:${settings.port}`;
    this.version = settings.version;
  }

  /**
   * Starts etcd and waits until it serves.
   *
   * @throws Error with etcd's log if it does not, or one that tells how to get an etcd if there is none.
   */
  static async start(options: EtcdProcessOptions = {}): Promise<EtcdProcess> {
    const { args = [], startTimeoutMs = 20_000 } = options;
    const binary = findEtcd(options.binary);
    const version = await etcdVersion(binary);
    for (let tries = 1; ; tries += 1) {
      const [peerPort = 0, freePort = 0] = await freePorts(2);
      const directory = await mkdtemp(join(tmpdir(), "sd-etcd-"));
      const port = options.port ?? freePort;
      const etcd = new EtcdProcess({ binary, version, directory, port, peerPort, args, startTimeoutMs });
      try {
        await etcd.#spawn();
        return etcd;
      } catch (error) {
        await etcd[Symbol.asyncDispose]();
        if (!etcd.#isPortTaken || tries === PORT_TRIES) throw error;
      }
    }
  }

  /** The id of etcd's own process; `undefined` while it is down. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** The last lines that etcd has written, of all its lives: for the message of a failed test. */
  log(): string {
    return this.#log.join("\n");
  }

  /** Ends it by SIGTERM and waits; by SIGKILL if it takes longer than 5 seconds. Does nothing if it is down. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.thaw();
    child?.kill("SIGTERM");
    const timer = setTimeout(() => child?.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#exit;
    clearTimeout(timer);
  }

  /** Ends it by SIGKILL, frozen or not, and waits. Does nothing if it is down. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#exit;
  }

  /** Starts it again with the same ports and data, after `stop()` if it runs. */
  async restart(): Promise<void> {
    await this.stop();
    for (let tries = 1; ; tries += 1) {
      this.#log.push(`--- restart ${tries}`);
      try {
        await this.#spawn();
        return;
      } catch (error) {
        await this.kill();
        if (!this.#isPortTaken || tries === PORT_TRIES) throw error;
        await pause(200);
      }
    }
  }

  /**
   * Stops its process where it is, by SIGSTOP: it accepts connections and answers nothing. Resolves once it
   * stands. Does nothing if it is down.
   */
  async freeze(): Promise<void> {
    if (this.pid !== undefined) await freezeProcess(this.pid);
  }

  /** Lets it run on after `freeze()`. */
  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /**
   * Removes its data. After `restart()` it is a new store, at revision 1 and with the same ids.
   *
   * @throws Error unless it is down.
   */
  async wipe(): Promise<void> {
    if (this.isRunning) throw new Error("etcd runs: stop it before its data are removed");
    await rm(join(this.#settings.directory, "data"), { recursive: true, force: true });
  }

  /** Runs `etcdctl` (API 3) against it and returns what it wrote to stdout. @throws Error with its stderr. */
  async ctl(...args: readonly string[]): Promise<string> {
    const etcdctl = findEtcdctl(this.#settings.binary);
    return runProgram(etcdctl, ["--endpoints", this.endpoint, ...args], { ETCDCTL_API: "3" });
  }

  /** Compacts the history before `revision`. @throws Error with etcdctl's words. */
  async compact(revision: number): Promise<void> {
    await this.ctl("compact", String(revision));
  }

  /** Kills it and removes its data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.#settings.directory, { recursive: true, force: true, maxRetries: 5 });
    this.#guard[Symbol.dispose]();
  }

  get #isPortTaken(): boolean {
    return this.#log.some((line) => line.includes(PORT_TAKEN));
  }

  async #spawn(): Promise<void> {
    const { binary, version, port, startTimeoutMs } = this.#settings;
    if (!(await isPortFree(port))) {
      // Whoever listens there would be taken for this etcd.
      this.#log.push(`port ${port}: ${PORT_TAKEN}`);
      throw new Error(`port ${port} of the loopback interface: ${PORT_TAKEN}`);
    }
    // etcd 3.4 wants to be told that it may run on anything but amd64.
    const unsupported = process.arch === "x64" ? {} : { ETCD_UNSUPPORTED_ARCH: process.arch };
    const env = version.startsWith("3.4.") ? { ...cleanEnv(), ...unsupported } : cleanEnv();
    const child = spawn(binary, this.#flags(), { env, stdio: ["ignore", "pipe", "pipe"] });
    const guard = guardProcess(child.pid);
    this.#child = child;
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on("line", (line) => {
        this.#log.push(line);
        this.#log.splice(0, this.#log.length - LOG_LINES);
      });
    }
    child.on("error", (error) => this.#log.push(String(error)));
    const exit = once(child, "close").catch(() => {});
    this.#exit = exit.then(() => {
      guard[Symbol.dispose]();
      if (this.#child === child) this.#child = undefined;
    });
    const deadline = performance.now() + startTimeoutMs;
    while (!(await isHealthy(this.endpoint))) {
      if (!this.isRunning) throw new Error(`etcd ended before it served; its log:\n${this.log()}`);
      if (performance.now() > deadline) {
        throw new Error(`etcd did not serve within ${startTimeoutMs} ms; its log:\n${this.log()}`);
      }
      await pause(20);
    }
  }

  #flags(): string[] {
    const { directory, peerPort, version, args } = this.#settings;
    const peer = `http://127.0.0.1:${peerPort}`;
    const flags = {
      name: "sd",
      "data-dir": join(directory, "data"),
      "listen-client-urls": this.endpoint,
      "advertise-client-urls": this.endpoint,
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "initial-cluster": `sd=${peer}`,
      "log-level": "warn",
      // Before 3.5 zap is not the default, and `unsafe-no-fsync` is unknown.
      ...(version.startsWith("3.4.")
        ? { logger: "zap", "log-outputs": "stderr" }
        : { "unsafe-no-fsync": "true" }),
    };
    return [...Object.entries(flags).map(([name, value]) => `--${name}=${value}`), ...args];
  }
}
