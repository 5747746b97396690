import {
  Backoff,
  type Cancellation,
  deferred,
  type EtcdClient,
  type LeaseId,
  type Revocation,
  retryDelayMs,
  SdError,
  sleep,
  waitFor,
} from "@sd/core";
import type { Doubts } from "./doubts.js";
import type { Guard, Known, OnChange } from "./guard.js";
import type { Writes } from "./writes.js";

/** A key that comes back again and again is not deleted more often. */
const AGAIN_MS = 1_000;

export interface DepartureOptions {
  readonly client: EtcdClient;
  readonly key: Uint8Array;
  readonly lease: LeaseId;
  readonly writes: Writes;
  /** Of the puts that were sent before. */
  readonly doubts: Doubts;
  /** Watches over the key, from when it is known what it holds. */
  watch(known: Known, onChange: OnChange): Guard;
  /** Aborts with the lease: the key is gone with it. */
  readonly cancellation: Cancellation;
  /** The key was deleted, or was not under the lease. Unconfirmed if a put of before is known to be in doubt. */
  onGone(revocation: Revocation): void;
  onFailed(error: unknown): void;
}

/**
 * Takes one key out from under a lease that goes on; resolves when that has ended.
 *
 * It tries until etcd has confirmed it. An earlier put may still come, where its answer was lost, or a second time,
 * where something on the way repeats calls; only a revocation would fence it off. So it watches over the key for as
 * long as the lease lives, and deletes it again should it appear.
 */
export async function depart(options: DepartureOptions): Promise<void> {
  const { client, key, lease, writes, doubts, cancellation, onGone, onFailed } = options;
  const first = Backoff.start();
  let backoff = first;
  while (!cancellation.aborted) {
    // What is answered while the deletion is on its way may have been done after it.
    const inDoubt = doubts.of(key, lease);
    try {
      const answer = await writes.write({ type: "delete", key, lease }, cancellation);
      const { isWritten, current, storeRevision } = answer;
      client.retries.succeeded();
      backoff = first;
      // Later, the key may be absent any time; it comes to no other revision of before.
      const isFenced = !inDoubt.has(0) && !(current && inDoubt.has(current.modRevision));
      onGone(
        isFenced
          ? { confirmed: true, revision: isWritten ? storeRevision : undefined }
          : { confirmed: false, cause: notFenced() },
      );
      const answeredAt = client.clock.now();
      await untilBack(options, { revision: storeRevision, held: current });
      if (cancellation.aborted) return;
      const restMs = answeredAt + AGAIN_MS - client.clock.now();
      if (restMs > 0) await sleep(client.clock, restMs, cancellation);
    } catch (error) {
      if (cancellation.aborted) return;
      onFailed(error);
      await sleep(client.clock, retryDelayMs(error, backoff, client.random), cancellation).catch(() => {});
      await client.retries.spend(error, { signal: cancellation }).catch(() => {});
      backoff = backoff.next();
    }
  }
}

/** Waits until the key, which is not under the lease as far as is known, is. */
async function untilBack({ watch, lease, cancellation }: DepartureOptions, known: Known): Promise<void> {
  const back = deferred<void>();
  const guard = watch(known, (current, { revision, epoch }) => {
    // Else it is as it was before: the list of a group may have been begun then.
    const isNews = epoch > 1 || revision > known.revision;
    if (isNews && current?.lease === lease) back.resolve();
  });
  await waitFor(back.promise, { signal: cancellation }).catch(() => {});
  await guard.close();
}

function notFenced(): SdError {
  return new SdError(
    "SD_UNAVAILABLE",
    "deleted, but a put of before may still arrive; it is then deleted again",
  );
}
