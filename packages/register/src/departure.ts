import {
  Backoff,
  deferred,
  type EtcdClient,
  type LeaseId,
  type Revocation,
  retryDelayMs,
  SdError,
  sleep,
  waitFor,
} from "@sd/core";
import type { Known } from "./guard.js";
import { watchKey } from "./watch-key.js";
import type { Writes } from "./writes.js";

export interface DepartureOptions {
  readonly client: EtcdClient;
  readonly key: Uint8Array;
  readonly lease: LeaseId;
  readonly writes: Writes;
  /** Aborts with the lease: the key is gone with it. */
  readonly signal: AbortSignal;
  /** The key was deleted, or was not under the lease. Unconfirmed if it may come back for a moment. */
  onGone(revocation: Revocation): void;
  onFailed(error: unknown): void;
}

/**
 * Takes one key out from under a lease that goes on; resolves when there is nothing left to do.
 *
 * It tries until etcd has confirmed it. If an earlier put may still be on its way, which only a revocation
 * would fence off, it watches over the key for as long as the lease lives, and deletes it again should it
 * appear.
 */
export async function depart(options: DepartureOptions): Promise<void> {
  const { client, key, lease, writes, signal, onGone, onFailed } = options;
  let backoff = Backoff.start();
  while (!signal.aborted) {
    // What is answered while the deletion is on its way may have been done after it.
    const inDoubt = writes.inDoubt(key, lease);
    try {
      const answer = await writes.write({ type: "delete", key, lease }, signal);
      const { isWritten, current, storeRevision } = answer;
      client.retries.succeeded();
      // Later, the key may be absent any time; it comes to no other revision of before.
      if (!inDoubt.has(0) && !(current && inDoubt.has(current.modRevision))) {
        onGone({ confirmed: true, revision: isWritten ? storeRevision : undefined });
        return;
      }
      onGone({ confirmed: false, cause: notFenced() });
      await untilBack(options, { revision: storeRevision, held: current });
    } catch (error) {
      if (signal.aborted) return;
      onFailed(error);
      await sleep(client.clock, retryDelayMs(error, backoff, client.random), signal).catch(() => {});
      await client.retries.spend(error, { signal }).catch(() => {});
      backoff = backoff.next();
    }
  }
}

/** Waits until the key, which is not under the lease as far as is known, is. */
async function untilBack({ client, key, lease, signal }: DepartureOptions, known: Known): Promise<void> {
  const back = deferred<void>();
  const guard = watchKey(client, key, known, (current) => {
    if (current?.lease === lease) back.resolve();
  });
  await waitFor(back.promise, { signal }).catch(() => {});
  await guard.close();
}

function notFenced(): SdError {
  return new SdError(
    "SD_UNAVAILABLE",
    "deleted, but a put of before may still arrive; it is then deleted again",
  );
}
