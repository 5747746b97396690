import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cleanEnv, findEtcd, findEtcdctl } from "../src/etcd/binaries.js";

export interface CtlOptions {
  /** What it reads from stdin. */
  readonly input?: string;
  /** Ends it then, and takes what it has written for its answer. Default 20000. */
  readonly endAfterMs?: number;
}

/** Runs etcdctl without blocking this process, in which the server may live. Rejects with its stderr. */
export function etcdctl(
  endpoint: string,
  args: readonly string[],
  { input = "", endAfterMs = 20_000 }: CtlOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...cleanEnv(), ETCDCTL_API: "3" }, timeout: endAfterMs };
    const binary = findEtcdctl(findEtcd());
    const child = execFile(binary, ["--endpoints", endpoint, ...args], options, (error, stdout, stderr) => {
      if (error && !error.killed) reject(new Error(`${stderr}${stdout}`));
      else resolve(stdout);
    });
    child.stdin?.end(input);
  });
}

/** An etcdctl that runs until it is told to end. */
export interface RunningEtcdctl {
  /** All that it has written. */
  readonly output: string;
  /** Ends it as Ctrl-C does. Resolves when it has ended. */
  interrupt(): Promise<void>;
}

/** Starts etcdctl and leaves it running. Interrupt it, or it stays. */
export function startEtcdctl(endpoint: string, args: readonly string[]): RunningEtcdctl {
  const env = { ...cleanEnv(), ETCDCTL_API: "3" };
  const child = spawn(findEtcdctl(findEtcd()), ["--endpoints", endpoint, ...args], { env });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const ended = once(child, "close");
  return {
    get output() {
      return output;
    },
    async interrupt() {
      child.kill("SIGINT");
      await ended;
    },
  };
}
