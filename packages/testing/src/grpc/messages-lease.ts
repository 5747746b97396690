/** Field numbers of etcd's lease messages, as in `etcdserverpb/rpc.proto`. */

import type * as lease from "../memory/api/lease.js";
import { always, boolean, byteLists, int64, messages, number, text } from "./fields.js";
import { header } from "./messages-kv.js";
import type { Schema } from "./schema.js";

export const leaseGrantRequest: Schema<lease.LeaseGrantRequest> = { ttl: number(1), id: int64(2) };

export const leaseGrantResponse: Schema<lease.LeaseGrantResponse> = {
  header: always(1, () => header),
  id: int64(2),
  ttl: number(3),
  error: text(4),
};

/** Of `LeaseRevoke` and `LeaseKeepAlive`, and a lease in the list of all. */
export const leaseRequest: Schema<lease.LeaseRequest> = { id: int64(1) };

export const leaseKeepAliveResponse: Schema<lease.LeaseKeepAliveResponse> = {
  header: always(1, () => header),
  id: int64(2),
  ttl: number(3),
};

export const leaseTimeToLiveRequest: Schema<lease.LeaseTimeToLiveRequest> = {
  id: int64(1),
  keys: boolean(2),
};

export const leaseTimeToLiveResponse: Schema<lease.LeaseTimeToLiveResponse> = {
  header: always(1, () => header),
  id: int64(2),
  ttl: number(3),
  grantedTtl: number(4),
  keys: byteLists(5),
};

export const leaseLeasesResponse: Schema<lease.LeaseLeasesResponse> = {
  header: always(1, () => header),
  leases: messages(2, () => leaseRequest),
};
