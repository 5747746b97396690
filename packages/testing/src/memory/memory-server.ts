import type {
  Clock,
  GrantRequest,
  GrantResponse,
  Header,
  KeepAliveResponse,
  KeyValue,
  LeaseId,
  RangeRequest,
  RangeResponse,
  RevokeResponse,
  TxnRequest,
  TxnResponse,
  WatchResponse,
} from "@sd/core";
import { Leases } from "./leases.js";
import { type RangeResult, Store } from "./store.js";
import { checkRange, runTransaction } from "./transactions.js";
import { type WatchHost, WatchServer } from "./watch-server.js";

/** How an in-memory etcd differs from the default. */
export interface MemoryServerOptions {
  readonly clock: Clock;
  /** Shorter TTLs are raised to this. Default 2, which is etcd's with its default election timeout. */
  readonly minTtlSeconds?: number | undefined;
  /** How long a watch that starts in the past waits for each batch; etcd: up to 100. Default 0. */
  readonly catchUpDelayMs?: number | undefined;
  /**
   * Answers a progress request at once, also while watches catch up or if there are none, as etcd did
   * before 3.4.25 and 3.5.8. Default false: such requests stay unanswered.
   */
  readonly progressAheadOfEvents?: boolean | undefined;
}

/** etcd's calls, answered at once from memory; the network between is someone else's. */
export class MemoryServer implements WatchHost {
  readonly clock: Clock;
  readonly catchUpDelayMs: number;
  readonly progressAheadOfEvents: boolean;
  readonly leases: Leases;
  #store: Store;
  #clusterId = 0x0cdf818194e3a8c8n;
  #raftTerm = 2n;

  constructor({
    clock,
    minTtlSeconds = 2,
    catchUpDelayMs = 0,
    progressAheadOfEvents = false,
  }: MemoryServerOptions) {
    this.clock = clock;
    this.catchUpDelayMs = catchUpDelayMs;
    this.progressAheadOfEvents = progressAheadOfEvents;
    this.leases = new Leases(clock, minTtlSeconds, (id) => this.revoke(id));
    this.#store = new Store(this.leases);
  }

  get store(): Store {
    return this.#store;
  }

  header(revision = this.#store.revision): Header {
    return { clusterId: this.#clusterId, memberId: 0x2e80f96756a54ca9n, revision, raftTerm: this.#raftTerm };
  }

  range(request: RangeRequest): RangeResponse {
    checkRange(request);
    const { kvs, more, count } = this.#store.range(request);
    return { header: this.header(), kvs, more, count };
  }

  txn(request: TxnRequest): TxnResponse {
    const { succeeded, ranges } = runTransaction(this.#store, this.leases, request);
    return { header: this.header(), succeeded, ranges: ranges.map(innerRange) };
  }

  grant({ id, ttlSeconds }: GrantRequest): GrantResponse {
    const granted = this.leases.grant(id, ttlSeconds);
    return { header: this.header(), id, ttlSeconds: granted };
  }

  /** Ends a lease and deletes its keys, in one revision. */
  revoke(id: bigint): RevokeResponse {
    const keys = this.leases.remove(id);
    this.#store.write((writer) => {
      for (const key of keys) writer.delete(key);
    });
    return { header: this.header() };
  }

  renew(id: LeaseId): KeepAliveResponse {
    const ttlSeconds = this.leases.renew(id);
    return { header: this.header(), id, ttlSeconds };
  }

  openWatch(emit: (response: WatchResponse) => void): WatchServer {
    return new WatchServer(this, emit);
  }

  get(key: string): KeyValue | undefined {
    return this.#store.get(key);
  }

  /** Begins a new term, in which every lease has its full TTL. */
  elect(): void {
    this.#raftTerm += 1n;
    this.leases.renewAll();
  }

  /** Begins again with an empty store at revision 1, with the same ids or as another cluster. */
  wipe(newCluster: boolean): void {
    this.leases.clear();
    this.#store = new Store(this.leases);
    this.#raftTerm = 2n;
    if (newCluster) this.#clusterId += 1n;
  }
}

/** In a transaction the header of a range carries nothing but the revision. */
function innerRange({ kvs, more, count, revision }: RangeResult): RangeResponse {
  return { header: { clusterId: 0n, memberId: 0n, revision, raftTerm: 0n }, kvs, more, count };
}
