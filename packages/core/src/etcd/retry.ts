import type { Backoff } from "../kit/backoff.js";
import { type Random, uniform } from "../kit/random.js";
import { isLasting } from "./failure.js";

/** Failures that only an operator can end are retried so slowly (± 20 %). */
const LASTING_RETRY_MS = 30_000;

/**
 * How long a loop waits after `error` before it tries again, in milliseconds.
 *
 * Usually what `backoff` says. After a failure that only an operator can end it is 24 to 36 s, whatever
 * the step: each try with wrong credentials costs etcd a bcrypt.
 */
export function retryDelayMs(error: unknown, backoff: Backoff, random: Random): number {
  if (isLasting(error)) return uniform(random, 0.8 * LASTING_RETRY_MS, 1.2 * LASTING_RETRY_MS);
  return backoff.delayMs(random);
}
