import { type Cancellation, describe, type KeyValue, type LeaseId, SdError } from "@sd/core";
import type { Writes } from "./writes.js";

export interface ClaimRequest {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly lease: LeaseId;
  /** The revision at which we wrote the key last, if it should still stand so. */
  readonly expected: number | undefined;
  /** Whether another owner's entry may be replaced. */
  mayReplace(current: KeyValue): boolean;
  readonly cancellation: Cancellation;
}

/** The key holds our value under our lease, since `revision`. */
export interface Owned {
  readonly type: "owned";
  readonly revision: number;
  /** The store's, when that was seen. */
  readonly storeRevision: number;
}

/** The key is another's. */
export interface Foreign {
  readonly type: "foreign";
  readonly current: KeyValue;
  readonly storeRevision: number;
}

export type ClaimResult = Owned | Foreign;

/** So often in a row the key may have changed, by others or by an etcd that contradicts itself. */
const MAX_ROUNDS = 16;

/**
 * Makes the key hold our value under our lease, unless it is another's.
 *
 * Every write is guarded by what we saw: the key is absent, or unchanged since `expected`.
 * So a request that arrives late or twice does nothing, and a failed call is put right by claiming again:
 * the claim reads the key back before it writes. Nothing is written if all is well already.
 *
 * @throws SdError `SD_LEASE_LOST` if etcd does not know the lease.
 * @throws SdError `SD_UNAVAILABLE` if the key is another one each time: try again later.
 */
export async function claim(writes: Pick<Writes, "write">, request: ClaimRequest): Promise<ClaimResult> {
  const { key, value, lease, cancellation } = request;
  let guard = request.expected ?? 0;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const answer = await writes.write({ type: "put", key, value, lease, guard }, cancellation);
    const { isWritten, current, storeRevision } = answer;
    if (isWritten) return { type: "owned", revision: storeRevision, storeRevision };
    if (!current) {
      guard = 0;
    } else if (current.lease === lease && Buffer.compare(current.value, value) === 0) {
      return { type: "owned", revision: current.modRevision, storeRevision };
    } else if (current.lease === lease || request.mayReplace(current)) {
      guard = current.modRevision;
    } else {
      return { type: "foreign", current, storeRevision };
    }
  }
  throw new SdError(
    "SD_UNAVAILABLE",
    `${describe(Buffer.from(key).toString())} was another ${MAX_ROUNDS} times in a row`,
  );
}
