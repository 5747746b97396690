import type { KeyValue, LeaseId, Transitions } from "@sd/core";

/** Who holds a key that we want. */
export interface Owner {
  readonly value: Uint8Array;
  /** 0n: the key has no lease and will not go by itself. */
  readonly leaseId: bigint;
  readonly modRevision: number;
}

/**
 * How a registration stands.
 *
 * - `registering`: on its way for the first time. `error` is why the last try failed, if one did.
 * - `registered`: the key holds our value under our live lease since `revision`. `error` is why an update
 *   could not be written yet, if one is waiting.
 * - `lost`: was registered, and cannot be proved to be now; it is being put right. `error` is why the last
 *   try failed, if one did, or why renewals are not answered.
 * - `conflict`: the key is another's. With the policy `yield` it enters when the key is free.
 * - `draining`: `close()` is at work.
 * - `deregistered`: the end. `confirmed` tells whether etcd acknowledged; if not, the key goes with its
 *   lease, within the TTL.
 * - `failed`: the end with the conflict policy `fail`.
 */
export type RegistrationState =
  | { readonly status: "registering"; readonly error?: unknown }
  | {
      readonly status: "registered";
      readonly leaseId: LeaseId;
      readonly revision: number;
      readonly error?: unknown;
    }
  | { readonly status: "lost"; readonly reason: LossReason; readonly error?: unknown }
  | { readonly status: "conflict"; readonly owner: Owner; readonly error?: unknown }
  | { readonly status: "draining" }
  | { readonly status: "deregistered"; readonly confirmed: boolean }
  | { readonly status: "failed"; readonly error: unknown };

/** Why a registration is `lost`: etcd ended the lease, no renewal was confirmed in time, the key is gone. */
export type LossReason = "lease-expired" | "lease-overdue" | "key-deleted";

export const registrationTransitions: Transitions<RegistrationState> = {
  registering: ["registering", "registered", "conflict", "draining", "failed"],
  registered: ["registered", "lost", "conflict", "draining", "failed"],
  lost: ["lost", "registered", "conflict", "draining", "failed"],
  conflict: ["conflict", "registered", "draining", "failed"],
  draining: ["deregistered"],
  deregistered: [],
  failed: ["draining"],
};

export function ownerOf(kv: KeyValue): Owner {
  // What etcd sent may be a view of a large message.
  return { value: Uint8Array.from(kv.value), leaseId: kv.lease, modRevision: kv.modRevision };
}
