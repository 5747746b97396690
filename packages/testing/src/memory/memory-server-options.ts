import { type Clock, invalidArgument, requireOptions } from "@sd/core";
import { type Behaviour, behaviours, type EtcdVersion } from "./behaviour.js";
import type { StoreOptions } from "./store.js";

/** How an in-memory etcd differs from the default. */
export interface MemoryServerOptions extends StoreOptions {
  /** Default: the machine's. */
  readonly clock?: Clock | undefined;
  /** The etcd that it is like. Default "3.5.30". */
  readonly version?: EtcdVersion | undefined;
  /** Differences from that version: bugs, one by one. */
  readonly behaviour?: Partial<Behaviour> | undefined;
  /** Shorter TTLs are raised to this. Default 2, which is etcd's with its default election timeout. */
  readonly minTtlSeconds?: number | undefined;
  /** How long a watch that starts in the past waits for each batch; etcd: up to 100. Default 0. */
  readonly catchUpDelayMs?: number | undefined;
  /** How often a quiet watch is told the revision, if it has asked for that. Default 600000, as etcd's. */
  readonly progressIntervalMs?: number | undefined;
  /** How long a token of its authentication lasts after its last use. Default 300, as etcd's. */
  readonly authTokenTtlSeconds?: number | undefined;
}

/** @throws SdError `SD_INVALID_ARGUMENT` */
export function checkOptions(options: MemoryServerOptions): void {
  requireOptions("the options of a MemoryEtcd", options);
  const { version, retainedChanges, minTtlSeconds, catchUpDelayMs, progressIntervalMs } = options;
  if (version !== undefined && !Object.hasOwn(behaviours, version)) {
    throw invalidArgument("version", `one of ${Object.keys(behaviours).join(", ")}`, version);
  }
  if (retainedChanges !== undefined && !(Number.isSafeInteger(retainedChanges) && retainedChanges > 0)) {
    throw invalidArgument("retainedChanges", "a whole number of at least 1", retainedChanges);
  }
  for (const [name, value] of Object.entries({ minTtlSeconds, catchUpDelayMs })) {
    if (value !== undefined && !(value >= 0)) throw invalidArgument(name, "a number from 0", value);
  }
  // Without a pause it would tell the revision for ever.
  if (progressIntervalMs !== undefined && !(progressIntervalMs > 0)) {
    throw invalidArgument("progressIntervalMs", "a number above 0", progressIntervalMs);
  }
}
