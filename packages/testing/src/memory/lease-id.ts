import type { LeaseId } from "@sd/core";

/** Takes a number for the id of a lease, as a test may that grants its leases itself. */
export function leaseId(id: bigint): LeaseId {
  return id as LeaseId;
}
