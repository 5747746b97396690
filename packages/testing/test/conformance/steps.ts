import type { AlarmRequest } from "../../src/memory/api/cluster.js";
import type {
  CompactionRequest,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  TxnRequest,
} from "../../src/memory/api/kv.js";
import type { LeaseGrantRequest, LeaseRequest, LeaseTimeToLiveRequest } from "../../src/memory/api/lease.js";
import type { WatchRequest } from "../../src/memory/api/watch.js";

/** One thing that is done to both servers, one after the other on each. */
export type Step =
  | { readonly range: RangeRequest }
  | { readonly put: PutRequest }
  | { readonly deleteRange: DeleteRangeRequest }
  | { readonly txn: TxnRequest }
  | { readonly compact: CompactionRequest }
  | { readonly grant: LeaseGrantRequest }
  | { readonly revoke: LeaseRequest }
  | { readonly renew: LeaseRequest }
  | { readonly timeToLive: LeaseTimeToLiveRequest }
  | { readonly leases: object }
  | { readonly alarm: AlarmRequest }
  | { readonly status: object }
  /** Sent on the stream of watches, which is opened by the first. */
  | { readonly watch: WatchRequest }
  /** Lets watches catch up. */
  | { readonly pause: number };

/** A step that depends on the revision at which it is taken. */
export type Planned = Step | ((revision: number) => Step);
