import { failureOf, isNotApplied } from "../etcd/failure.js";
import { RetryBudget } from "../etcd/retry-budget.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { LeaseId } from "../etcd/types.js";
import { Backoff } from "../kit/backoff.js";
import { publish } from "../kit/channels.js";
import type { Clock } from "../kit/clock.js";
import { deferred } from "../kit/deferred.js";
import { invalidArgument, requireOptions, requireSignal, SdError } from "../kit/errors.js";
import type { Random } from "../kit/random.js";
import { sleep } from "../kit/signals.js";
import { KeepaliveHub } from "./keepalive-hub.js";
import {
  checkTimeout,
  Lease,
  type LeaseOwner,
  leaseLost,
  type Revocation,
  type RevokeOptions,
} from "./lease.js";
import { Revocations } from "./revocations.js";

export interface GrantOptions {
  /** Whole seconds, at least 1; etcd raises it to its own minimum (2 by default). */
  readonly ttlSeconds: number;
  /** How long to try, in milliseconds, the time for the first connection not counted. Default 5000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface RecoverOptions {
  readonly id: LeaseId;
  /** The TTL that was granted, in seconds; the answer brings the true one. */
  readonly ttlSeconds: number;
  readonly signal?: AbortSignal | undefined;
}

/** etcd refuses more: "too large lease TTL". */
const MAX_TTL_SECONDS = 9_000_000_000;

/** Ids are int64 and positive. */
const MAX_ID = 2n ** 63n - 1n;

/** All leases of one client, renewed on one stream. */
export class Leases implements LeaseOwner {
  readonly #transport: EtcdTransport;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #retries: RetryBudget;
  readonly #hub: KeepaliveHub;
  readonly #revocations: Revocations;

  constructor(transport: EtcdTransport, clock: Clock, random: Random, retries = new RetryBudget(clock)) {
    this.#retries = retries;
    this.#transport = transport;
    this.#clock = clock;
    this.#random = random;
    this.#hub = new KeepaliveHub(transport, clock, random);
    this.#revocations = new Revocations(transport, clock, random);
  }

  /**
   * Takes a new lease and keeps it alive.
   *
   * A grant whose answer was lost is tried again until `timeoutMs`, under another id: a lease that nobody heard
   * of ends by its TTL. Were it asked for again by its id, a first request that comes late could bring the lease
   * back after it was revoked, and a write that comes late be put under it. If no member can be reached it fails
   * at once.
   *
   * @throws SdError `SD_INVALID_ARGUMENT` for a TTL that is no whole number of seconds.
   * @throws SdError `SD_UNAVAILABLE` if no etcd member granted the lease in time.
   * @throws SdError `SD_PERMISSION` if etcd refused.
   * @throws SdError `SD_CLOSED` if the client is closed, also meanwhile: the lease then ends by its TTL.
   */
  async grant(options: GrantOptions): Promise<Lease> {
    requireOptions("the options of a grant", options);
    const { ttlSeconds, timeoutMs = 5_000, signal } = options;
    requireSignal(signal);
    signal?.throwIfAborted();
    checkTtl(ttlSeconds);
    checkTimeout(timeoutMs);
    this.#checkOpen();
    const until = this.#clock.now() + timeoutMs;
    for (let backoff = Backoff.start(); ; backoff = backoff.next()) {
      const id = this.#newId();
      let sentAt = this.#clock.now();
      const timeoutMs = Math.max(1, until - sentAt);
      const onSent = (): void => {
        sentAt = this.#clock.now();
      };
      try {
        const answer = await this.#transport.grant({ id, ttlSeconds }, { signal, timeoutMs, onSent });
        this.#retries.succeeded();
        return this.#keep(new Lease(id, answer.ttlSeconds, this), sentAt);
      } catch (error) {
        const isTaken = failureOf(error) === "lease-exists";
        if (!isTaken && (isNotApplied(error) || signal?.aborted || SdError.is(error, "SD_CLOSED")))
          throw error;
        const delayMs = backoff.delayMs(this.#random);
        if (this.#clock.now() + delayMs >= until) throw error;
        await sleep(this.#clock, delayMs, signal);
        await this.#retries.spend(error, { signal, timeoutMs: until - this.#clock.now() });
      }
    }
  }

  /**
   * Proves that etcd still holds a lease, and keeps it alive from then on.
   *
   * Waits as long as no member answers: end it by `signal`.
   *
   * @throws SdError `SD_LEASE_LOST` if etcd says that it is gone.
   * @throws SdError `SD_INVALID_ARGUMENT` if this client keeps it alive already, or for what cannot be the id
   *   or the TTL of a lease.
   */
  async recover(options: RecoverOptions): Promise<Lease> {
    requireOptions("the options of a recovery", options);
    const { id, ttlSeconds, signal } = options;
    requireSignal(signal);
    signal?.throwIfAborted();
    checkId(id);
    checkTtl(ttlSeconds);
    if (this.#hub.has(id)) throw invalidArgument("id", "of a lease that is not kept alive yet", id);
    const lease = new Lease(id, ttlSeconds, this);
    const proof = deferred<Lease>();
    const onAbort = (): void => lease.release();
    using _watching = lease.subscribe(({ status }) => {
      // From the first answer on the lease is the caller's: a late abort must not release it.
      signal?.removeEventListener("abort", onAbort);
      if (status === "active") proof.resolve(lease);
      else if (signal?.aborted) proof.reject(signal.reason);
      else proof.reject(status === "lost" ? leaseLost(id) : closedError());
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#hub.add(lease);
    return await proof.promise;
  }

  /**
   * Calls `listener` with the reason for which renewals are not answered: at once if they are not, and at each
   * further try that fails.
   */
  onInterrupted(listener: (error: unknown) => void): Disposable {
    if (this.#hub.interruption !== undefined) listener(this.#hub.interruption);
    return this.#hub.interruptions.add(listener);
  }

  /** @internal */
  forget(lease: Lease): void {
    this.#hub.delete(lease);
  }

  /**
   * Ends a lease in etcd, whether kept alive here or not. See `Lease.revoke()`.
   *
   * @throws SdError `SD_INVALID_ARGUMENT` for what cannot be the id of a lease.
   */
  async revoke(
    lease: { readonly id: LeaseId },
    { timeoutMs = 3_000 }: RevokeOptions = {},
  ): Promise<Revocation> {
    requireOptions("lease", lease);
    checkId(lease.id);
    checkTimeout(timeoutMs);
    return await this.#revocations.revoke(lease.id, timeoutMs);
  }

  /** Stops renewing everything. The leases are released, not revoked. */
  close(): Promise<void> {
    return this.#hub.close();
  }

  #keep(lease: Lease, sentAt: number): Lease {
    lease.confirm(lease.ttlSeconds, sentAt);
    publish("sd:lease:granted", () => ({ leaseId: lease.id, ttlSeconds: lease.ttlSeconds }));
    this.#hub.add(lease);
    this.#checkOpen();
    return lease;
  }

  #checkOpen(): void {
    if (this.#hub.isClosed) throw closedError();
  }

  #newId(): LeaseId {
    return (this.#random.nextId() || 1n) as LeaseId;
  }
}

function checkId(id: LeaseId): void {
  if (typeof id !== "bigint" || id < 1n || id > MAX_ID) {
    throw invalidArgument("id", `a bigint from 1 to ${MAX_ID}`, id);
  }
}

function checkTtl(ttlSeconds: number): void {
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > MAX_TTL_SECONDS) {
    throw invalidArgument("ttlSeconds", `a whole number from 1 to ${MAX_TTL_SECONDS}`, ttlSeconds);
  }
}

function closedError(): SdError {
  return new SdError("SD_CLOSED", "the client is closed");
}
