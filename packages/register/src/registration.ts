import {
  Backoff,
  deferred,
  describe,
  type EtcdClient,
  escapeControl,
  isLasting,
  type KeyValue,
  type Lease,
  Listeners,
  Machine,
  Mailbox,
  newestOnly,
  publish,
  type Renewal,
  type Revocation,
  SdError,
  type StateListener,
  sleep,
  uniform,
  waitFor,
} from "@sd/core";
import { type ClaimResult, claim, type Owned } from "./claim.js";
import type { Content } from "./content.js";
import type { Settings } from "./options.js";
import {
  type LossReason,
  ownerOf,
  type RegistrationState,
  registrationTransitions,
} from "./registration-state.js";
import { watchKey } from "./watch-key.js";

/** Failures that only an operator can end are retried so slowly (± 20 %). */
const LASTING_RETRY_MS = 30_000;
/** At most one repair in this time; repeated ones wait longer, up to the backoff's cap. */
const REPAIR_MS = 1_000;
/** Held for so long, the next repair is a first one. */
const STEADY_MS = 30_000;
/** So many repairs at full speed, before they slow down. */
const FREE_REPAIRS = 3;

/**
 * What ends the holding of a key, or the waiting for it. The key is still ours when it is `outdated` by an
 * update of our own, or `changed` by somebody else under our lease.
 */
type Release = "lost" | "taken" | "outdated" | "changed" | "closing" | "free";

/**
 * Keeps a key in etcd, with our value, under our lease, until `close()`.
 *
 * - It never overwrites or deletes what is another's, and never writes without a lease.
 * - After an outage of any length it is back: with the same lease, and without a write, if etcd still has
 *   it; else with a new one. It never gives up.
 * - It watches its own key: what is deleted or changed from outside is put right, at most once a second.
 * - It claims to be `registered` only while its lease is proved to live, counted from when the last
 *   confirmed renewal was sent.
 */
export class Registration<Update> implements AsyncDisposable {
  /** As text; a key that is not UTF-8 shows replacement characters. */
  readonly key: string;
  readonly #client: EtcdClient;
  readonly #settings: Settings<Update>;
  readonly #machine = new Machine<RegistrationState>({ status: "registering" }, registrationTransitions);
  readonly #renewals = new Listeners<[renewal: Renewal]>();
  readonly #ready = deferred<void>();
  readonly #abort = new AbortController();
  readonly #attachment: Disposable;
  readonly #loop: Promise<void>;
  #content: Content<Update>;
  #lease: Lease | undefined;
  /** Where we wrote the key last, while it may still stand so. */
  #revision: number | undefined;
  /** Counts updates of the content. */
  #contentVersion = 0;
  /** The version of the content that etcd has. */
  #writtenVersion = -1;
  /** Once registered, a foreign entry is never again taken for a predecessor's. */
  #wasRegistered = false;
  /** Ends the present holding of the key, or the waiting for it. */
  #release: ((release: Release) => void) | undefined;
  #closed: Promise<Revocation> | undefined;

  /** @internal see `startRegistration()` */
  constructor(client: EtcdClient, settings: Settings<Update>) {
    this.#client = client;
    this.#settings = settings;
    this.#content = settings.content;
    this.key = Buffer.from(settings.key).toString();
    this.#ready.promise.catch(() => {});
    this.#attachment = client.attach(this);
    this.#loop = this.#run();
  }

  get state(): RegistrationState {
    return this.#machine.state;
  }

  /** Calls `listener` on every change of state, in order. */
  subscribe(listener: StateListener<RegistrationState>): Disposable {
    return this.#machine.subscribe(listener);
  }

  /**
   * Resolves once the key was written by us, bound to our live lease. Waits as long as that takes.
   *
   * @throws `signal.reason` when the signal aborts; the registration goes on.
   * @throws SdError `SD_CONFLICT` if the key is another's and the policy is `fail`.
   * @throws SdError `SD_CLOSED` if it is closed before.
   */
  ready({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return waitFor(this.#ready.promise, { signal });
  }

  /**
   * The confirmed renewals from now on, of one lease after another. A slow reader gets the newest and may
   * miss those before it. Ends with the registration; throws `signal.reason` when the signal aborts.
   */
  renewals({ signal }: { readonly signal?: AbortSignal } = {}): AsyncIterable<Renewal> {
    const box = new Mailbox<Renewal>(newestOnly(), () => {
      renewed[Symbol.dispose]();
      ended[Symbol.dispose]();
    });
    const renewed = this.#renewals.add((renewal) => box.put(renewal));
    const ended = this.subscribe(({ status }) => {
      if (status === "draining" || status === "failed") box.close();
    });
    if (this.#hasEnded) box.close();
    return box.read(signal);
  }

  /**
   * Changes what is registered, under the same lease and without an absent moment.
   *
   * Resolves once etcd has it. While not registered it waits, and the next registration writes the new
   * content; of several updates at once only the last may be written.
   *
   * @throws SdError `SD_INVALID_ARGUMENT`, with nothing changed.
   * @throws SdError `SD_CLOSED` if the registration ends before.
   */
  async update(update: Update, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.#hasEnded) throw closedError(this.key);
    this.#content = this.#content.change(update);
    const version = ++this.#contentVersion;
    const written = deferred<void>();
    using _ = this.subscribe(({ status }) => {
      if (status === "draining" || status === "failed") written.reject(closedError(this.key));
      else if (status === "registered" && this.#writtenVersion >= version) written.resolve();
    });
    this.#release?.("outdated");
    await waitFor(written.promise, { signal });
  }

  /**
   * Deregisters: revokes the lease, so that the key is gone at once, and nobody else's is touched.
   *
   * Takes `closeTimeoutMs` at most, and never throws; the result says whether etcd confirmed. If not, the
   * key goes with its lease. Nothing can write the key afterwards. Idempotent.
   */
  close(): Promise<Revocation> {
    if (!this.#closed) {
      // Known before the state changes: a listener may close as well.
      const closed = deferred<Revocation>();
      this.#closed = closed.promise;
      this.#close().then(closed.resolve, closed.reject);
    }
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<Revocation> {
    this.#abort.abort(closedError(this.key));
    this.#ready.reject(closedError(this.key));
    this.#machine.enter({ status: "draining" });
    this.#release?.("closing");
    await this.#loop;
    const timeoutMs = this.#settings.closeTimeoutMs;
    const revocation = (await this.#lease?.revoke({ timeoutMs })) ?? { confirmed: true, revision: undefined };
    this.#attachment[Symbol.dispose]();
    this.#machine.enter({ status: "deregistered", confirmed: revocation.confirmed });
    return revocation;
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#client;
    const { signal } = this.#abort;
    const capMs = Math.min(5_000, (this.#settings.ttlSeconds * 1_000) / 3);
    let backoff = Backoff.start({ capMs });
    let repairs = 0;
    while (!signal.aborted) {
      let delayMs = 0;
      try {
        const lease = await this.#obtainLease();
        const result = await this.#claim(lease);
        backoff = Backoff.start({ capMs });
        if (result.type === "foreign") {
          if (this.#settings.onConflict === "fail") return await this.#fail(result.current);
          await this.#yield(result.current, result.storeRevision);
        } else {
          const since = clock.now();
          await this.#hold(lease, result);
          const heldMs = clock.now() - since;
          repairs = heldMs > STEADY_MS ? 1 : repairs + 1;
          delayMs = Math.min(capMs, REPAIR_MS * 2 ** Math.max(0, repairs - FREE_REPAIRS)) - heldMs;
        }
      } catch (error) {
        if (signal.aborted) return;
        // What we know of the key may be outdated by the very call that failed: read it before writing.
        this.#revision = undefined;
        if (SdError.is(error, "SD_LEASE_LOST")) this.#lease?.lose("expired");
        publish("sd:registration:failed", () => ({ key: escapeControl(this.key), error }));
        this.#report(error);
        delayMs = isLasting(error)
          ? uniform(random, 0.8 * LASTING_RETRY_MS, 1.2 * LASTING_RETRY_MS)
          : backoff.delayMs(random);
        backoff = backoff.next();
      }
      if (delayMs > 0) await sleep(clock, delayMs, signal).catch(() => {});
    }
  }

  /** The lease that we have; else the one that we had, if etcd still holds it; else a new one. */
  async #obtainLease(): Promise<Lease> {
    const { leases } = this.#client;
    const { signal } = this.#abort;
    const last = this.#lease;
    if (last?.state.status === "active") return last;
    let lease: Lease | undefined;
    if (last?.state.status === "lost" && last.state.reason === "overdue") {
      lease = await leases.recover({ id: last.id, ttlSeconds: last.ttlSeconds, signal }).catch((error) => {
        if (!SdError.is(error, "SD_LEASE_LOST")) throw error;
        return undefined;
      });
    }
    if (!lease) {
      this.#revision = undefined;
      lease = await leases.grant({ ttlSeconds: this.#settings.ttlSeconds, signal });
    }
    this.#lease = lease;
    lease.onRenewal((renewal) => this.#renewals.emit(renewal));
    lease.subscribe((state) => {
      if (state.status === "lost") this.#lose(`lease-${state.reason}`);
    });
    return lease;
  }

  async #claim(lease: Lease): Promise<ClaimResult> {
    const content = this.#content;
    const version = this.#contentVersion;
    const result = await claim(this.#client.transport, {
      key: this.#settings.key,
      value: content.value,
      lease: lease.id,
      expected: this.#revision,
      mayReplace: (current) => this.#mayReplace(current),
      signal: this.#abort.signal,
    });
    if (result.type === "owned") {
      this.#revision = result.revision;
      this.#writtenVersion = version;
    } else {
      this.#revision = undefined;
    }
    return result;
  }

  #mayReplace(current: KeyValue): boolean {
    if (this.#settings.onConflict === "takeover") return true;
    return !this.#wasRegistered && this.#content.isPredecessor(current.value);
  }

  /** Registered, until something ends that; the state tells it at once. Updates are written meanwhile. */
  async #hold(lease: Lease, owned: Owned): Promise<void> {
    if (this.#abort.signal.aborted || lease.hasEnded) return;
    let over = deferred<Release>();
    this.#release = (release) => over.resolve(release);
    const guard = watchKey(this.#client, this.#settings.key, owned.storeRevision, (current) => {
      if (!current) this.#lose("key-deleted");
      else if (current.lease !== lease.id) this.#give(current);
      else {
        this.#revision = current.modRevision;
        if (Buffer.compare(current.value, this.#content.value) !== 0) over.resolve("changed");
      }
    });
    try {
      this.#wasRegistered = true;
      for (let result: ClaimResult = owned; result.type === "owned"; ) {
        this.#tellRegistered(lease, result.revision);
        // An update may have come while the claim was under way.
        if (this.#writtenVersion < this.#contentVersion) over.resolve("outdated");
        if ((await over.promise) !== "outdated") return;
        over = deferred();
        result = await this.#claim(lease);
        // What came meanwhile has changed the state already.
        if (this.state.status !== "registered") return;
      }
    } finally {
      this.#release = undefined;
      await guard.close();
    }
  }

  #tellRegistered(lease: Lease, revision: number): void {
    this.#enter({ status: "registered", leaseId: lease.id, revision });
    publish("sd:registration:registered", () => ({
      key: escapeControl(this.key),
      leaseId: lease.id,
      revision,
    }));
    this.#ready.resolve();
  }

  /** Another holds the key: waits until it may be ours. */
  async #yield(current: KeyValue, revision: number): Promise<void> {
    if (this.#abort.signal.aborted) return;
    const over = deferred<Release>();
    this.#release = (release) => {
      // Neither an update nor the loss of the lease matters before the key is free.
      if (release === "closing" || release === "free") over.resolve(release);
    };
    this.#enter({ status: "conflict", owner: ownerOf(current) });
    const guard = watchKey(this.#client, this.#settings.key, revision, (now) => {
      if (!now || this.#mayReplace(now)) over.resolve("free");
      else this.#enter({ status: "conflict", owner: ownerOf(now) });
    });
    await over.promise;
    this.#release = undefined;
    await guard.close();
  }

  async #fail(current: KeyValue): Promise<void> {
    const owner = ownerOf(current);
    const error = new SdError(
      "SD_CONFLICT",
      `key ${describe(this.key)} is held by another owner (lease ${owner.leaseId.toString(16)})`,
    );
    this.#enter({ status: "failed", error });
    this.#ready.reject(error);
    const revocation = this.#lease?.revoke({ timeoutMs: this.#settings.closeTimeoutMs });
    // `close()` revokes anew, and has a time limit of its own.
    if (revocation) await waitFor(revocation, { signal: this.#abort.signal });
  }

  /** The registration cannot be proved any more. */
  #lose(reason: LossReason): void {
    this.#revision = undefined;
    if (this.state.status === "registered") this.#enter({ status: "lost", reason });
    this.#release?.("lost");
  }

  /** The key is another's now: a successor exists. */
  #give(current: KeyValue): void {
    this.#revision = undefined;
    this.#enter({ status: "conflict", owner: ownerOf(current) });
    this.#release?.("taken");
  }

  /** Shows why the last try failed, in the state that it leaves us in. */
  #report(error: unknown): void {
    const { state } = this;
    if (state.status === "registering" || state.status === "lost" || state.status === "conflict") {
      this.#enter({ ...state, error });
    }
  }

  /** Whether it will not register any more. */
  get #hasEnded(): boolean {
    return this.#abort.signal.aborted || this.state.status === "failed";
  }

  /** Late news find a closing registration, and change nothing. */
  #enter(state: RegistrationState): void {
    if (!this.#abort.signal.aborted) this.#machine.enter(state);
  }
}

function closedError(key: string): SdError {
  return new SdError("SD_CLOSED", `the registration of ${describe(key)} is closed`);
}
