import { invalidArgument, requireOptions } from "@sd/core";
import type { EtcdProcessOptions } from "../etcd/etcd-process-options.js";
import type { MemoryEtcdOptions } from "../memory/memory-etcd.js";
import { FaultProxy } from "../proxy/fault-proxy.js";
import { startMemory, startProcess } from "./backend.js";
import { TestEtcd } from "./test-etcd.js";

/** Which etcd a test gets. A `binary`, or the `args` of one, mean a real one. */
export interface StartEtcdOptions extends Pick<EtcdProcessOptions, "binary" | "args" | "startTimeoutMs"> {
  /** A real etcd, of `SD_ETCD_BIN` or the `PATH`, and not one in memory. Default: false, unless `binary` is given. */
  readonly real?: boolean;
  /** For the one in memory: the version that it is like, its bugs, its limits. It runs in real time. */
  readonly memory?: Omit<MemoryEtcdOptions, "clock">;
}

/**
 * Starts an etcd for one test: in memory, or a real one, behind a proxy with faults.
 *
 * Any client can connect to `endpoints`, by gRPC on a port of this machine. It serves when this resolves. Close
 * it, or the process stays.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` for options that contradict each other.
 * @throws Error if a real one is wanted and there is none, or it does not start.
 * @example
 * await using etcd = await startEtcd();
 * await using client = createClient({ endpoints: etcd.endpoints });
 */
export async function startEtcd(options: StartEtcdOptions = {}): Promise<TestEtcd> {
  requireOptions("the options of startEtcd()", options);
  const { memory, real, binary, args, startTimeoutMs, ...others } = options;
  const [misplaced] = Object.keys(others);
  if (misplaced !== undefined) {
    const names = "memory, real, binary, args, startTimeoutMs (a version and bugs belong into memory)";
    throw invalidArgument("the options of startEtcd()", `made of ${names}`, misplaced);
  }
  if (memory !== undefined) requireOptions("memory", memory);
  const given = Object.entries({ binary, args, startTimeoutMs }).filter(([, value]) => value !== undefined);
  const isReal = real ?? given.length > 0;
  if (isReal && memory !== undefined) {
    throw invalidArgument("memory", "left out for a real etcd", memory);
  }
  const [extra] = given;
  if (!isReal && extra) throw invalidArgument(extra[0], "left out for an etcd in memory", extra[1]);
  const backend = isReal ? await startProcess(Object.fromEntries(given)) : await startMemory({ ...memory });
  try {
    return new TestEtcd(backend, await FaultProxy.start({ target: backend.endpoint }));
  } catch (error) {
    await backend.close();
    throw error;
  }
}
