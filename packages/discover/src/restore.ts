import { type Clock, deferred, type Reflector } from "@sd/core";
import type { Cache, Restoring } from "./cache.js";

export interface RestoreOptions {
  readonly clock: Clock;
  /** So long etcd has to answer. */
  readonly afterMs: number;
  readonly states: Pick<Reflector, "subscribe">;
  /** Whether nothing is known yet, and it is not closed. */
  readonly isUnknown: () => boolean;
  readonly show: (restoring: Restoring) => void;
}

/** Shows what a cache file holds, unless etcd tells in time what there is. Reads it meanwhile; never rejects. */
export async function restore(
  cache: Cache,
  { clock, afterMs, states, isUnknown, show }: RestoreOptions,
): Promise<void> {
  const reading = cache.read();
  const sign = deferred<void>();
  {
    // Of a first try that has failed, of etcd, or of the end.
    using _subscription = states.subscribe(() => sign.resolve());
    using _timer = clock.setTimer(afterMs, () => sign.resolve());
    await sign.promise;
  }
  const bytes = isUnknown() ? await reading : undefined;
  const restoring = bytes && (await cache.decode(bytes));
  if (restoring && isUnknown()) show(restoring);
}
