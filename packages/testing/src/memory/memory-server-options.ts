import { type Clock, invalidArgument, requireMethods, requireOptions } from "@sd/core";
import { requireNumber, requireOneOf, requireWait } from "../check/arguments.js";
import { type Behaviour, behaviours, checkBehaviour, type EtcdVersion } from "./behaviour.js";
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
  const { clock, version, behaviour, retainedChanges } = options;
  if (clock !== undefined) requireMethods("clock", clock, ["now", "setTimer"]);
  if (version !== undefined) requireOneOf("version", version, Object.keys(behaviours));
  if (behaviour !== undefined) checkBehaviour(behaviour);
  if (retainedChanges !== undefined && !(Number.isSafeInteger(retainedChanges) && retainedChanges > 0)) {
    throw invalidArgument("retainedChanges", "a whole number of at least 1", retainedChanges);
  }
  const { minTtlSeconds, catchUpDelayMs, progressIntervalMs } = options;
  if (minTtlSeconds !== undefined) requireNumber("minTtlSeconds", minTtlSeconds);
  requireWait("catchUpDelayMs", catchUpDelayMs);
  // Without a pause it would tell the revision for ever.
  requireWait("progressIntervalMs", progressIntervalMs, 1);
}
