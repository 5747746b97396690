import { type Clock, type Header, type KeyValue, systemClock } from "@sd/core";
import { Alarms, alarmText } from "./alarms.js";
import * as cluster from "./api/cluster.js";
import type * as kv from "./api/kv.js";
import type * as lease from "./api/lease.js";
import type { WatchResponse } from "./api/watch.js";
import { AuthServer } from "./auth/auth-server.js";
import { AuthStore } from "./auth/auth-store.js";
import { type Client, Guard } from "./auth/guard.js";
import { SimpleTokens } from "./auth/simple-tokens.js";
import { type Behaviour, behaviours, checkBehaviour } from "./behaviour.js";
import { checkDelete, checkPut, checkTxn } from "./check-txn.js";
import { keyBytes, keyRange, keyText } from "./keys.js";
import { Leases } from "./leases.js";
import { checkOptions, type MemoryServerOptions } from "./memory-server-options.js";
import { checkRange, runRange } from "./range.js";
import { refusal } from "./refusals.js";
import { Store, type StoreOptions, type View } from "./store.js";
import { checkPath, choosePath, costsSpace, isReadOnly, runDelete, runPath, runPut } from "./transactions.js";
import { type WatchHost, WatchServer } from "./watch-server.js";

/** The ids of cluster and member are above 2^63: a client that takes them for signed shows it. */
const CLUSTER_ID = 0xcdf8_1819_4e3a_8c8bn;
const MEMBER_ID = 0x8e9e_05c5_2164_694dn;

/**
 * etcd's calls, answered at once from memory; the network between is someone else's.
 *
 * A call names its client, which may or may not do what it asks; without one it is a test's, and trusted.
 */
export class MemoryServer implements WatchHost {
  readonly clock: Clock;
  readonly catchUpDelayMs: number;
  readonly progressIntervalMs: number;
  readonly leases: Leases;
  readonly alarms = new Alarms();
  readonly auth: AuthStore;
  readonly guard: Guard;
  readonly authServer: AuthServer;
  /** Where clients reach it, as `MemberList` tells. */
  readonly clientUrls: string[] = [];
  #behaviour: Behaviour;
  readonly #storeOptions: StoreOptions;
  #store: Store;
  /** What stale reads see. */
  #staleRevision: number;
  #clusterId = CLUSTER_ID;
  #raftTerm = 2n;

  constructor(options: MemoryServerOptions) {
    checkOptions(options);
    this.clock = options.clock ?? systemClock;
    this.catchUpDelayMs = options.catchUpDelayMs ?? 0;
    this.progressIntervalMs = options.progressIntervalMs ?? 600_000;
    this.#behaviour = { ...behaviours[options.version ?? "3.5.30"], ...options.behaviour };
    this.leases = new Leases(this.clock, options.minTtlSeconds ?? 2, (id) => void this.revoke({ id }));
    this.#storeOptions = options;
    this.#store = new Store(this.leases, options);
    this.#staleRevision = this.#store.revision;
    const tokens = new SimpleTokens(this.clock, options.authTokenTtlSeconds ?? 300);
    this.auth = new AuthStore(tokens, () => this.#behaviour);
    this.guard = new Guard(this);
    this.authServer = new AuthServer(this);
  }

  get store(): Store {
    return this.#store;
  }

  get behaviour(): Behaviour {
    return this.#behaviour;
  }

  /** Changes it from now on. Stale reads see what is there now. */
  behave(changes: Partial<Behaviour>): void {
    checkBehaviour(changes);
    if (changes.servesStaleReads && !this.#behaviour.servesStaleReads)
      this.#staleRevision = this.#store.revision;
    this.#behaviour = { ...this.#behaviour, ...changes };
  }

  header(revision = this.#store.revision): Header {
    return { clusterId: this.#clusterId, memberId: MEMBER_ID, revision, raftTerm: this.#raftTerm };
  }

  range(request: kv.RangeRequest, client?: Client): kv.RangeResponse {
    checkRange(request);
    this.guard.read(this.guard.reader(client), request);
    return this.#headed(runRange(this.#readView(), request));
  }

  put(request: kv.PutRequest, client?: Client): kv.PutResponse {
    checkPut(request);
    const caller = this.guard.writer(client);
    this.#checkSpace();
    this.guard.put(caller, request);
    if (request.lease !== 0n && !this.leases.has(request.lease)) throw refusal("leaseNotFound");
    return this.#headed(this.#store.write((writer) => runPut(writer, request)));
  }

  deleteRange(request: kv.DeleteRangeRequest, client?: Client): kv.DeleteRangeResponse {
    checkDelete(request);
    this.guard.deleteRange(this.guard.writer(client), request);
    return this.#headed(this.#store.write((writer) => runDelete(writer, request)));
  }

  txn(request: kv.TxnRequest, client?: Client): kv.TxnResponse {
    checkTxn(request);
    const caller = isReadOnly(request) ? this.guard.reader(client) : this.guard.writer(client);
    if (costsSpace(request)) this.#checkSpace();
    this.guard.txn(caller, request);
    const path = choosePath(this.#store, request);
    checkPath(this.#store, this.leases, path);
    const response = this.#store.write((writer) => runPath(writer, path));
    return { ...response, header: this.header() };
  }

  compact({ revision }: kv.CompactionRequest, client?: Client): kv.HeaderResponse {
    this.guard.compact(client);
    this.#store.compact(revision);
    return { header: this.header() };
  }

  grant(request: lease.LeaseGrantRequest, client?: Client): lease.LeaseGrantResponse {
    this.guard.somebody(this.guard.reader(client));
    this.#checkSpace();
    const id = request.id === 0n ? this.leases.freeId() : request.id;
    const ttl = this.leases.grant(id, request.ttl);
    return { header: this.header(), id, ttl, error: "" };
  }

  /** Ends a lease and deletes its keys, in one revision. */
  revoke({ id }: lease.LeaseRequest, client?: Client): kv.HeaderResponse {
    this.guard.somebody(this.guard.reader(client));
    this.guard.lease(this.guard.writer(client), id, "write");
    const keys = this.leases.remove(id);
    this.#store.write((writer) => {
      for (const key of keys) writer.delete(keyRange(keyBytes(key)));
    });
    return { header: this.header() };
  }

  renew({ id }: lease.LeaseRequest, client?: Client): lease.LeaseKeepAliveResponse {
    this.guard.renew(client, id);
    const { renewsDeadLeases, missingLeaseTtl } = this.#behaviour;
    const living = this.leases.renew(id);
    const dead = renewsDeadLeases ? this.leases.endedTtl(id) : undefined;
    return { header: this.header(), id, ttl: living || (dead ?? missingLeaseTtl) };
  }

  timeToLive(request: lease.LeaseTimeToLiveRequest, client?: Client): lease.LeaseTimeToLiveResponse {
    this.guard.timeToLive(client, request);
    const { id, keys } = request;
    const known = this.leases.timeToLive(id) ?? { ttl: -1, grantedTtl: 0, keys: [] };
    return { header: this.header(), id, ...known, keys: keys ? known.keys.map(keyBytes) : [] };
  }

  listLeases(client?: Client): lease.LeaseLeasesResponse {
    this.guard.listLeases(client);
    return { header: this.header(), leases: this.leases.byExpiry.map((id) => ({ id })) };
  }

  openWatch(emit: (response: WatchResponse) => void, client?: Client): WatchServer {
    return new WatchServer(this, emit, (request) => this.guard.watchRefusal(client, request));
  }

  memberList(client?: Client): cluster.MemberListResponse {
    this.guard.members(client);
    const peerUrls = ["http://127.0.0.1:2380"];
    const member = { id: MEMBER_ID, name: "memory", peerUrls, clientUrls: this.clientUrls, isLearner: false };
    return { header: this.header(0), members: [member] };
  }

  status(client?: Client): cluster.StatusResponse {
    this.guard.status(client);
    const index = BigInt(this.#store.revision) + 3n;
    const size = 20_480;
    return {
      header: this.header(),
      version: this.#behaviour.version,
      dbSize: size,
      leader: MEMBER_ID,
      raftIndex: index,
      raftTerm: this.#raftTerm,
      raftAppliedIndex: index,
      errors: this.alarms.all.map(alarmText),
      dbSizeInUse: size,
      isLearner: false,
    };
  }

  alarm(request: cluster.AlarmRequest, client?: Client): cluster.AlarmResponse {
    this.guard.alarm(client, request);
    const { hasBareAlarms } = this.#behaviour;
    const alarms = this.alarms.handle(request, hasBareAlarms);
    if (request.action !== cluster.AlarmAction.get) this.guard.isBypassed = this.alarms.isFull;
    return { header: hasBareAlarms ? NO_HEADER : this.header(), alarms };
  }

  /** There is nothing to be compacted on a disk. */
  defragment(client?: Client): kv.HeaderResponse {
    this.guard.defragment(client);
    return { header: NO_HEADER };
  }

  get(key: string): KeyValue | undefined {
    return this.#store.get(keyText(Buffer.from(key, "latin1")));
  }

  /** Begins a new term, in which every lease has its full TTL. */
  elect(): void {
    this.#raftTerm += 1n;
    this.leases.renewAll();
  }

  /** Forgets what etcd keeps in its process only, and begins a new term. */
  restart(): void {
    this.auth.tokens.endAll();
    this.guard.isBypassed = false;
    this.elect();
  }

  /** Begins again with an empty store at revision 1, with the same ids or as another cluster. */
  wipe(newCluster: boolean): void {
    this.leases.clear();
    this.alarms.clear();
    this.auth.clear();
    this.guard.isBypassed = false;
    this.#store = new Store(this.leases, this.#storeOptions);
    this.#staleRevision = this.#store.revision;
    this.#raftTerm = 2n;
    if (newCluster) this.#clusterId += 1n;
  }

  #checkSpace(): void {
    if (this.alarms.isFull) throw refusal("noSpace");
  }

  #readView(): View {
    if (!this.#behaviour.servesStaleReads) return this.#store;
    return this.#store.asOf(Math.max(this.#staleRevision, this.#store.compactRevision));
  }

  /** The answer with the ids of cluster and member in its header. */
  #headed<Response extends kv.HeaderResponse>(response: Response): Response {
    return { ...response, header: this.header(response.header.revision) };
  }
}

const NO_HEADER: Header = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0n };
