import { invalidArgument, requireOptions } from "@sd/core";
import { findEtcd } from "./binaries.js";
import { checkTimeout } from "./etcd-process-options.js";
import { EtcdProcessRun } from "./etcd-process-run.js";
import { LogTail } from "./log-tail.js";
import { startDespitePorts } from "./port-taken.js";
import { type ReservedPort, reservePorts } from "./ports.js";

export interface GrpcProxyOptions {
  /** The address of an etcd, like `http://127.0.0.1:2379`, or those of a cluster's members. */
  readonly target: string | readonly string[];
  /** The etcd binary. Default: the variable `SD_ETCD_BIN`, else `etcd` in the `PATH`. */
  readonly binary?: string;
  /** How long it may take to serve. Default 20000. */
  readonly startTimeoutMs?: number;
}

/**
 * `etcd grpc-proxy` in a process of its own: one address for an etcd, which joins equal watches, renews leases on a
 * stream of its own, and swallows progress requests.
 *
 * Close it; it is killed at the latest when this process ends. Without TLS.
 */
export class GrpcProxy implements AsyncDisposable {
  /** Where clients connect instead. */
  readonly endpoint: string;
  readonly #port: ReservedPort;
  readonly #log: LogTail;
  readonly #run: EtcdProcessRun;

  private constructor(endpoint: string, port: ReservedPort, log: LogTail, run: EtcdProcessRun) {
    this.endpoint = endpoint;
    this.#port = port;
    this.#log = log;
    this.#run = run;
  }

  /**
   * Starts it and waits until it serves, for which it needs its etcd.
   *
   * @throws SdError `SD_INVALID_ARGUMENT`
   * @throws Error with its log if it does not, or one that tells how to get an etcd if there is none.
   */
  static async start(options: GrpcProxyOptions): Promise<GrpcProxy> {
    requireOptions("the options of GrpcProxy.start()", options);
    const { target, binary, startTimeoutMs } = options;
    const targets = typeof target === "string" ? [target] : target;
    if (!Array.isArray(targets) || targets.length === 0 || !targets.every(isPlainUrl)) {
      throw invalidArgument("target", "one or more URLs like http://127.0.0.1:2379", target);
    }
    checkTimeout(startTimeoutMs);
    const etcd = findEtcd(binary);
    return startDespitePorts(async () => {
      const [port] = (await reservePorts(1)) as [ReservedPort];
      const log = new LogTail();
      const proxy = new GrpcProxy(
        `http://127.0.0.1:${port.port}`,
        port,
        log,
        launch(etcd, targets, port, log),
      );
      try {
        await proxy.#run.served(proxy.endpoint, { timeoutMs: startTimeoutMs ?? 20_000 });
        return proxy;
      } catch (error) {
        await proxy.close();
        throw error;
      }
    });
  }

  get isRunning(): boolean {
    return !this.#run.hasEnded;
  }

  /** The last lines that it has written: for the message of a failed test. */
  log(): string {
    return this.#log.toString();
  }

  /** Kills it. Idempotent. */
  async close(): Promise<void> {
    await this.#run.kill();
    this.#port[Symbol.dispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function launch(
  etcd: string,
  targets: readonly string[],
  { port }: ReservedPort,
  log: LogTail,
): EtcdProcessRun {
  const address = `127.0.0.1:${port}`;
  // It looks for itself where it says that it is, by default at another port, and ends if it is not there (3.5.30).
  const addresses = [`--listen-addr=${address}`, `--advertise-client-url=${address}`];
  return new EtcdProcessRun(
    etcd,
    ["grpc-proxy", "start", `--endpoints=${targets.join(",")}`, ...addresses],
    log,
  );
}

function isPlainUrl(target: unknown): boolean {
  return typeof target === "string" && /^http:\/\/[^\s/,]+\/?$/.test(target);
}
