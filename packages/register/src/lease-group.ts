import {
  Cancellation,
  type Deferred,
  deferred,
  type EtcdClient,
  type Lease,
  Listeners,
  type Renewal,
  type Revocation,
  SdError,
  waitFor,
} from "@sd/core";
import { depart } from "./departure.js";
import { Doubts } from "./doubts.js";
import type { Guard, Known, OnChange } from "./guard.js";
import { KeyGuards, MIN_TOGETHER } from "./key-guards.js";
import type { Settings } from "./options.js";
import { watchKey } from "./watch-key.js";
import { loneWrites, Writes } from "./writes.js";

/** Leases of our own that are remembered: an entry under one of them is ours, whatever etcd went through. */
const MAX_OWN_LEASES = 16;

/** What becomes of the key of one who has left, under the lease of the others. */
interface Departing {
  readonly gone: Deferred<Revocation>;
  /** Aborts with the lease. */
  readonly reign: Cancellation;
  /** Why it is not gone yet. */
  failure: unknown;
}

/** What a group needs to know of each of its registrations, which agree on all but the key. */
export type Terms = Pick<Settings<unknown>, "key" | "ttlSeconds" | "closeTimeoutMs">;

/**
 * What registrations share: a lease, one after another as they are lost, and all that is done under it.
 *
 * Their writes go together, as `Writes` says, and their keys are watched together, as `KeyGuards` says. The
 * last to leave revokes the lease, so a registration that is alone in its group leaves nothing behind; nor does
 * it pay for what is shared, of which it has none. It writes together with those of its client that are alone too.
 */
export class LeaseGroup {
  readonly writes: Writes;
  /** Of the puts of several; `undefined` for one alone. */
  readonly #doubts: Doubts | undefined;
  readonly #client: EtcdClient;
  readonly #ttlSeconds: number;
  readonly #closeTimeoutMs: number;
  /** Of as many as are watched together. */
  readonly #guards: KeyGuards | undefined;
  /** The keys of those who have not left. */
  readonly #members: Set<Uint8Array>;
  #isOver = false;
  /** Aborts when the last has left: it ends what they have in common. */
  readonly #over = new Cancellation();
  /** By the key, of those who have left. */
  #departing: Map<Uint8Array, Departing> | undefined;
  /** Of leases with one id: it outlives a lease that is lost and recovered. Made when somebody departs. */
  #reign: Cancellation | undefined;
  readonly #ownLeases: bigint[] = [];
  readonly #renewals = new Listeners<[renewal: Renewal]>();
  /** Of the lease that we have, once somebody wants to hear. */
  #renewed: Disposable | undefined;
  #lease: Lease | undefined;
  #obtaining: Promise<Lease> | undefined;
  #revoking: Promise<Revocation> | undefined;
  #isDisbanded = false;
  #revocation: Revocation | undefined;

  /** @param terms of each registration; the first says what they agree on. */
  constructor(client: EtcdClient, terms: readonly [Terms, ...Terms[]]) {
    const [{ ttlSeconds, closeTimeoutMs }] = terms;
    this.#client = client;
    this.#ttlSeconds = ttlSeconds;
    this.#closeTimeoutMs = closeTimeoutMs;
    this.#members = new Set(terms.map(({ key }) => key));
    this.#guards = terms.length < MIN_TOGETHER ? undefined : new KeyGuards(client, [...this.#members]);
    this.#doubts = terms.length === 1 ? undefined : new Doubts();
    this.writes = this.#doubts
      ? new Writes(client.transport, { over: this.#over, doubts: this.#doubts })
      : loneWrites(client);
  }

  /** No two tries begin further apart, but by what a try takes: after an outage it is soon back (R13). */
  get capMs(): number {
    return Math.min(5_000, (this.#ttlSeconds * 1_000) / 3);
  }

  /** Whether a lease was ours, now or before. */
  isOwn(id: bigint): boolean {
    return this.#ownLeases.includes(id);
  }

  /**
   * The lease that we have; else the one that we had, if etcd still holds it; else a new one.
   *
   * @param onInterrupted hears why it takes so long.
   */
  obtain(onInterrupted: (error: unknown) => void, cancellation: Cancellation): Promise<Lease> {
    const last = this.#lease;
    if (last?.state.status === "active") return Promise.resolve(last);
    const heard = isOverdue(last) ? this.#client.leases.onInterrupted(onInterrupted) : undefined;
    this.#obtaining ??= this.#obtain(last, this.#doubts ? this.#over : cancellation).finally(() => {
      this.#obtaining = undefined;
    });
    const obtained = this.#doubts ? waitFor(this.#obtaining, { signal: cancellation }) : this.#obtaining;
    return heard ? obtained.finally(() => heard[Symbol.dispose]()) : obtained;
  }

  /** Calls `listener` on the confirmed renewals of one lease after another. */
  onRenewal(listener: (renewal: Renewal) => void): Disposable {
    const added = this.#renewals.add(listener);
    this.#hearRenewals();
    return added;
  }

  /** Watches one of our keys, from when it is known what it holds. */
  watch(key: Uint8Array, known: Known, onChange: OnChange): Guard {
    return this.#guards?.watch(key, known, onChange) ?? watchKey(this.#client, key, known, onChange);
  }

  /** How the last lease ended, once it was given up; then nothing that was under it is left, if that is confirmed. */
  get revocation(): Revocation | undefined {
    return this.#revocation;
  }

  /** All are about to leave: whoever is first revokes the lease for all. */
  disband(): void {
    this.#isDisbanded = true;
  }

  /**
   * Ends what is ours of `key`: revokes the lease, if nobody else is left or the group is disbanded; else
   * deletes the key, guarded by the lease. Bounded in time by `closeTimeoutMs`, never throws.
   */
  async leave(key: Uint8Array): Promise<Revocation> {
    const isMember = this.#members.delete(key);
    if (this.#members.size === 0 || this.#isDisbanded) return await this.#end();
    if (isMember && this.#lease && this.#doubts) this.#depart(key, this.#lease, this.#doubts);
    const departing = this.#departing?.get(key);
    return departing ? await this.#untilGone(departing) : { confirmed: true, revision: undefined };
  }

  #depart(key: Uint8Array, { id: lease }: Lease, doubts: Doubts): void {
    const client = this.#client;
    const { writes } = this;
    this.#reign ??= new Cancellation();
    const reign = this.#reign;
    const failure = new SdError("SD_UNAVAILABLE", `deletion not confirmed in ${this.#closeTimeoutMs} ms`);
    const departing: Departing = { gone: deferred(), reign, failure };
    this.#departing ??= new Map();
    this.#departing.set(key, departing);
    void depart({
      ...{ client, key, lease, writes, doubts, cancellation: reign },
      watch: (known, onChange) => this.watch(key, known, onChange),
      onGone: departing.gone.resolve,
      onFailed: (error) => {
        departing.failure = error;
      },
    });
  }

  async #untilGone(departing: Departing): Promise<Revocation> {
    const { clock } = this.#client;
    const timeoutMs = this.#closeTimeoutMs;
    const until = clock.now() + timeoutMs;
    const { gone, reign } = departing;
    try {
      return await waitFor(gone.promise, { clock, timeoutMs, signal: reign });
    } catch {
      if (this.#isOver) {
        // The others have closed meanwhile; their time ends later than ours.
        const bounds = { clock, timeoutMs: until - clock.now(), onTimeout: () => departing.failure };
        return await waitFor(this.#end(), bounds).catch((cause: unknown) => ({ confirmed: false, cause }));
      }
      // With the lease that it was under.
      if (reign.aborted) return { confirmed: true, revision: undefined };
      return { confirmed: false, cause: departing.failure };
    }
  }

  async #end(): Promise<Revocation> {
    this.#revoking ??= this.#revoke().then((revocation) => {
      // Who asks again may have more luck.
      if (!revocation.confirmed) this.#revoking = undefined;
      return revocation;
    });
    return await this.#revoking;
  }

  async #revoke(): Promise<Revocation> {
    const timeoutMs = this.#closeTimeoutMs;
    const error = new SdError("SD_CLOSED", "the registrations of the lease are closed");
    this.#isOver = true;
    this.#over.abort(error);
    this.#reign?.abort(error);
    await this.#obtaining?.catch(() => {});
    const guarded = this.#guards?.close();
    const revocation = (await this.#lease?.revoke({ timeoutMs })) ?? { confirmed: true, revision: undefined };
    await guarded;
    this.#revocation = revocation;
    return revocation;
  }

  async #obtain(last: Lease | undefined, { signal }: Cancellation): Promise<Lease> {
    const { leases } = this.#client;
    let lease: Lease | undefined;
    if (isOverdue(last)) {
      lease = await leases.recover({ id: last.id, ttlSeconds: last.ttlSeconds, signal }).catch((error) => {
        if (!SdError.is(error, "SD_LEASE_LOST")) throw error;
        return undefined;
      });
    }
    lease ??= await leases.grant({ ttlSeconds: this.#ttlSeconds, signal });
    if (this.#lease?.id !== lease.id) this.#begin();
    this.#lease = lease;
    this.#remember(lease.id);
    this.#renewed?.[Symbol.dispose]();
    this.#renewed = undefined;
    this.#hearRenewals();
    return lease;
  }

  #hearRenewals(): void {
    if (this.#renewals.size === 0) return;
    this.#renewed ??= this.#lease?.onRenewal((renewal) => this.#renewals.emit(renewal));
  }

  /** Another lease, so the one before is gone: it had expired, or could not be recovered. */
  #begin(): void {
    this.#reign?.abort(new SdError("SD_LEASE_LOST", "the lease has ended"));
    this.#reign = undefined;
  }

  #remember(id: bigint): void {
    if (this.isOwn(id)) return;
    this.#ownLeases.push(id);
    if (this.#ownLeases.length > MAX_OWN_LEASES) this.#ownLeases.shift();
  }
}

function isOverdue(last: Lease | undefined): last is Lease {
  return last?.state.status === "lost" && last.state.reason === "overdue";
}
