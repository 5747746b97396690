import { invalidArgument } from "@sd/core";

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

/** @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a time. */
export function checkTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (Number.isFinite(timeoutMs) && timeoutMs > 0)) return;
  throw invalidArgument("timeoutMs", "a number above 0", timeoutMs);
}
