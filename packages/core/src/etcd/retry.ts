import type { Backoff } from "../kit/backoff.js";
import { type Random, uniform } from "../kit/random.js";
import { isLasting } from "./failure.js";

/** Failures that only an operator can end are retried so slowly (± 20 %). */
const LASTING_RETRY_MS = 30_000;

/** What may shorten a pause. */
export interface PauseBounds {
  /** How long the try took that failed, in milliseconds: it counts as a part of the pause. */
  readonly triedMs?: number;
  /** The ceiling of the pause, if that is less than what the backoff says. */
  readonly mostMs?: number | undefined;
}

/** What remains at least of a pause, whatever the try before it took: who failed together disperses. */
const PAUSE_SHARE = 0.2;

/**
 * How long a loop waits after `error` before it tries again, in milliseconds.
 *
 * Usually what `backoff` says. After a failure that only an operator can end it is 24 to 36 s, whatever
 * the step: each try with wrong credentials costs etcd a bcrypt.
 */
export function retryDelayMs(
  error: unknown,
  backoff: Backoff,
  random: Random,
  { triedMs = 0, mostMs }: PauseBounds = {},
): number {
  if (isLasting(error)) return uniform(random, 0.8 * LASTING_RETRY_MS, 1.2 * LASTING_RETRY_MS);
  const pauseMs = backoff.delayMs(random, mostMs);
  return Math.max(pauseMs - triedMs, PAUSE_SHARE * pauseMs);
}
