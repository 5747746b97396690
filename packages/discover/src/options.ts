import { resolve } from "node:path";
import { invalidArgument, requireMethods, requireOptions, requireSignal } from "@sd/core";
import { type CacheStorage, cacheFileAt } from "./cache-file.js";
import type { MassLossOptions } from "./mass-loss.js";

/** What every discovery can be told. */
export interface DiscoveryOptions {
  /**
   * How long instances stay that are missing after etcd has lost its history (a new epoch), so that who
   * registers has time to return: while etcd is heard, and anew if it is not. 0: not at all. Default 30000,
   * two TTLs of a registration by default.
   */
  readonly graceMs?: number | undefined;
  /**
   * How often etcd is asked whether it holds the same keys, for up to 1,000 keys; more are compared less
   * often, up to ten times. Varies by half. Default 60000, at least 1000.
   */
  readonly checkEveryMs?: number | undefined;
  /**
   * The most keys that are taken in. Beyond, what is known is kept, and the state has the error
   * `SD_LIMIT_EXCEEDED`. Default 250,000.
   */
  readonly maxKeys?: number | undefined;
  /** The most bytes of keys and values, likewise. Default 256 MiB. */
  readonly maxBytes?: number | undefined;
  /**
   * The path of a file that keeps what is known, for a start without etcd: written within 5 s of a change, or later,
   * so that no more than 1 % of the time goes into it, and by `close()`, but not while instances are `retained`; read
   * when etcd does not answer. What it holds is shown as `stale` until etcd is heard. Each discovery has a file of its
   * own (that of another is refused within a process), in a directory that exists and where nobody else may write: who
   * writes it decides where you connect. Default: none.
   */
  readonly cacheFile?: string | CacheStorage | undefined;
  /** etcd has so long to answer; the file is shown then, or as soon as the first try has failed. Default 2000. */
  readonly cacheAfterMs?: number | undefined;
  /** A file in which etcd was last heard longer ago is not shown. Default 86400000, a day. */
  readonly cacheMaxAgeMs?: number | undefined;
  /** Keeps instances for a while of which too many go at once, though etcd says so. Default: not at all. */
  readonly massLoss?: MassLossOptions | undefined;
}

/** How long to wait for a discovery to be ready. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default: as long as it takes. */
  readonly timeoutMs?: number | undefined;
}

const GRACE_MS = 30_000;

/** @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a time. */
export function checkGrace(graceMs: number = GRACE_MS): number {
  if (Number.isFinite(graceMs) && graceMs >= 0) return graceMs;
  throw invalidArgument("graceMs", "a number of at least 0", graceMs);
}

const CACHE_AFTER_MS = 2_000;
const CACHE_MAX_AGE_MS = 86_400_000;

/** What the options say of a cache file. */
export interface CacheChoice {
  readonly storage: CacheStorage;
  /** See `CacheOptions`. */
  readonly path: string | undefined;
  readonly afterMs: number;
  readonly maxAgeMs: number;
}

/** @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a path or a time. */
export function checkCache({
  cacheFile,
  cacheAfterMs: afterMs = CACHE_AFTER_MS,
  cacheMaxAgeMs: maxAgeMs = CACHE_MAX_AGE_MS,
}: DiscoveryOptions): CacheChoice | undefined {
  if (!(Number.isFinite(afterMs) && afterMs >= 0)) {
    throw invalidArgument("cacheAfterMs", "a number of at least 0", afterMs);
  }
  if (!(Number.isFinite(maxAgeMs) && maxAgeMs > 0)) {
    throw invalidArgument("cacheMaxAgeMs", "a number above 0", maxAgeMs);
  }
  if (cacheFile === undefined) return undefined;
  if (typeof cacheFile !== "string") {
    requireMethods("cacheFile", cacheFile, ["now", "read", "write"], "a path");
    return { storage: cacheFile, path: undefined, afterMs, maxAgeMs };
  }
  if (cacheFile === "" || cacheFile.includes("\0")) throw invalidArgument("cacheFile", "a path", cacheFile);
  return { storage: cacheFileAt(cacheFile), path: resolve(cacheFile), afterMs, maxAgeMs };
}

/** @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a time, or a signal. */
export function checkWait(options: WaitOptions): void {
  requireOptions("the options of waiting", options);
  const { signal, timeoutMs } = options;
  requireSignal(signal);
  if (timeoutMs === undefined || (Number.isFinite(timeoutMs) && timeoutMs > 0)) return;
  throw invalidArgument("timeoutMs", "a number above 0", timeoutMs);
}
