import { execFile } from "node:child_process";
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
