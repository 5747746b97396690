import {
  Backoff,
  Cancellation,
  deferred,
  describe,
  type EtcdClient,
  escapeControl,
  isLasting,
  type KeyValue,
  type Lease,
  Machine,
  Mailbox,
  newestOnly,
  once,
  publish,
  type Renewal,
  type Revocation,
  requireSignal,
  retryDelayMs,
  SdError,
  type StateListener,
  sleep,
  waitFor,
} from "@sd/core";
import { type ClaimResult, claim, type Owned } from "./claim.js";
import { Contents } from "./contents.js";
import { type Ending, Holding, isPastDeadline } from "./holding.js";
import { LeaseGroup } from "./lease-group.js";
import type { Settings } from "./options.js";
import { ownerOf, type RegistrationState, registrationTransitions } from "./registration-state.js";

/** At most one repair in this time; repeated ones wait longer, up to the backoff's cap. */
const REPAIR_MS = 1_000;
/** The longest pause before a key that others keep taking is taken over once more, while it is theirs. */
const MAX_TAKEOVER_MS = 30_000;
/** Held for so long, the next repair is a first one. */
const STEADY_MS = 30_000;
/** Held for so long, nobody contests it any more: longer than rivals pause. */
const PEACE_MS = 120_000;
/** So many repairs at full speed, before they slow down. */
const FREE_REPAIRS = 3;
/** What remains at least of a pause, whatever the try before it took: who failed together disperses. */
const PAUSE_SHARE = 0.2;

const OVERDUE: RegistrationState = Object.freeze({ status: "lost", reason: "lease-overdue" });

/**
 * Keeps a key in etcd, with our value, under our lease, until `close()`.
 *
 * - It never overwrites or deletes what is another's, and never writes without a lease.
 * - After an outage of any length it is back: with the same lease, and without a write, if etcd still has
 *   it; else with a new one. It never gives up.
 * - It watches its own key. Deleted, or changed under our own lease, it is put right, at most once a second;
 *   overwritten by another, it is a successor's, and the policy for conflicts decides.
 * - It claims to be `registered` only while its lease is proved to live, counted from when the last
 *   confirmed renewal was sent.
 */
export class Registration<Update> implements AsyncDisposable {
  /** As text; a key that is not UTF-8 shows replacement characters. */
  readonly key: string;
  readonly #client: EtcdClient;
  readonly #settings: Settings<Update>;
  readonly #machine = new Machine<RegistrationState>({ status: "registering" }, registrationTransitions);
  readonly #ready = deferred<void>();
  readonly #abort = new Cancellation();
  readonly #attachment: Disposable | undefined;
  readonly #loop: Promise<void>;
  readonly #contents: Contents<Update>;
  readonly #group: LeaseGroup;
  /** Once registered, a foreign entry is never again taken for a predecessor's. */
  #wasRegistered = false;
  #holding: Holding<Update> | undefined;
  /** How often in a row the key was put right. */
  #repairs = 0;
  readonly #closeOnce = once(() => this.#close());

  /**
   * @internal see `startRegistration()`
   * @param group that has our key, and ends with the client; else it is alone in one.
   */
  constructor(client: EtcdClient, settings: Settings<Update>, group?: LeaseGroup) {
    this.#client = client;
    this.#settings = settings;
    this.#contents = new Contents(settings.content);
    this.key = Buffer.from(settings.key).toString();
    this.#ready.promise.catch(() => {});
    this.#attachment = group ? undefined : client.attach(this);
    this.#group = group ?? new LeaseGroup(client, [settings]);
    this.#loop = this.#run();
  }

  /**
   * How it stands at this moment: `registered` never beyond the life of the lease that is proved, also where the
   * process was held up and listeners have not been told yet. They are not told at all if the answer to a renewal
   * has come in meanwhile, and is read before they are.
   */
  get state(): RegistrationState {
    const { state } = this.#machine;
    return state.status === "registered" && this.#holding?.isOverdue ? OVERDUE : state;
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
  async ready({ signal }: SignalOptions = {}): Promise<void> {
    requireSignal(signal);
    return waitFor(this.#ready.promise, { signal });
  }

  /**
   * The confirmed renewals from now on, of one lease after another. A slow reader gets the newest and may
   * miss those before it. Ends with the registration; throws `signal.reason` when the signal aborts.
   */
  renewals({ signal }: SignalOptions = {}): AsyncIterable<Renewal> {
    requireSignal(signal);
    const box = new Mailbox<Renewal>(newestOnly(), () => {
      renewed[Symbol.dispose]();
      ended[Symbol.dispose]();
    });
    const renewed = this.#group.onRenewal((renewal) => box.put(renewal));
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
   * content; of several updates at once only the last may be written. An update that etcd refuses for good
   * is taken back, with all that wait with it.
   *
   * @throws SdError `SD_INVALID_ARGUMENT`, with nothing changed: also if it is too large for etcd.
   * @throws SdError `SD_PERMISSION`, or `SD_UNAVAILABLE` if etcd is full, with nothing changed.
   * @throws SdError `SD_CLOSED` if the registration ends before.
   * @throws `signal.reason` when the signal aborts; that ends the waiting, the content is written all the same.
   */
  async update(update: Update, { signal }: SignalOptions = {}): Promise<void> {
    requireSignal(signal);
    signal?.throwIfAborted();
    if (this.#hasEnded) throw closedError(this.key);
    const written = this.#contents.change(update);
    this.#holding?.update();
    await waitFor(written, { signal });
  }

  /**
   * Deregisters: revokes the lease, so that the key is gone at once, and nobody else's is touched.
   *
   * Takes `closeTimeoutMs` at most, and never throws; the result says whether etcd confirmed. If not, the
   * key goes with its lease: a request that is still under way may write it once more under that lease, and
   * nothing can later. Idempotent.
   */
  close(): Promise<Revocation> {
    return this.#closeOnce();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<Revocation> {
    const error = closedError(this.key);
    this.#abort.abort(error);
    this.#ready.reject(error);
    this.#contents.end(error);
    this.#machine.enter({ status: "draining" });
    this.#holding?.end({ type: "closed" });
    await this.#loop;
    const revocation = await this.#group.leave(this.#settings.key);
    this.#attachment?.[Symbol.dispose]();
    this.#machine.enter({ status: "deregistered", confirmed: revocation.confirmed });
    return revocation;
  }

  async #run(): Promise<void> {
    const { clock, random, retries } = this.#client;
    const abort = this.#abort;
    const { capMs } = this.#group;
    const first = Backoff.start({ capMs });
    let backoff = first;
    while (!abort.aborted) {
      let delayMs = 0;
      const triedAt = clock.now();
      let lease: Lease | undefined;
      try {
        lease = await this.#group.obtain((error) => this.#report(error), abort);
        const result = await this.#claim(lease);
        retries.succeeded();
        backoff = first;
        if (result.type === "foreign") {
          if (this.#settings.onConflict === "fail") return await this.#fail(result.current);
          await this.#yield(result.current, result.storeRevision);
        } else {
          const since = clock.now();
          const ending = await this.#hold(lease, result);
          this.#holding = undefined;
          const taken = ending?.type === "taken" ? ending.by : undefined;
          const heldMs = clock.now() - since;
          this.#repairs = heldMs > (taken ? PEACE_MS : STEADY_MS) ? 1 : this.#repairs + 1;
          const pauseMs = REPAIR_MS * 2 ** Math.max(0, this.#repairs - FREE_REPAIRS);
          if (taken && this.#settings.onConflict === "takeover") {
            await this.#truce(taken, Math.min(MAX_TAKEOVER_MS, pauseMs));
          } else delayMs = Math.min(capMs, pauseMs) - heldMs;
        }
      } catch (error) {
        if (abort.aborted) return;
        if (SdError.is(error, "SD_LEASE_LOST")) lease?.lose("expired");
        publish("sd:registration:failed", () => ({ key: escapeControl(this.key), error }));
        this.#report(error);
        const pauseMs = retryDelayMs(error, backoff, random);
        const triedMs = isLasting(error) ? 0 : clock.now() - triedAt;
        backoff = backoff.next();
        await sleep(clock, Math.max(pauseMs - triedMs, PAUSE_SHARE * pauseMs), abort).catch(() => {});
        await retries.spend(error, { signal: abort }).catch(() => {});
        continue;
      }
      if (delayMs > 0) await sleep(clock, delayMs, abort).catch(() => {});
    }
  }

  async #claim(lease: Lease): Promise<ClaimResult> {
    const { wanted, wantedVersion } = this.#contents;
    const result = await claim(this.#group.writes, {
      key: this.#settings.key,
      value: wanted.value,
      lease: lease.id,
      expected: undefined,
      mayReplace: (current) => this.#mayReplace(current),
      cancellation: this.#abort,
    });
    if (result.type === "owned") this.#contents.wrote(wanted, wantedVersion);
    return result;
  }

  #mayReplace(current: KeyValue): boolean {
    if (this.#settings.onConflict === "takeover" || this.#group.isOwn(current.lease)) return true;
    return !this.#wasRegistered && this.#contents.wanted.isPredecessor(current.value);
  }

  /** Registered, until something ends that. @returns what has; `undefined` if it has ended before. */
  #hold(lease: Lease, owned: Owned): Promise<Ending> | undefined {
    if (this.#abort.aborted || lease.hasEnded) return;
    // Held up for so long, we read the answer before the timer that ends the lease.
    if (isPastDeadline(lease, this.#client.clock)) return;
    this.#wasRegistered = true;
    this.#tellRegistered(lease, owned.revision);
    // A listener may have closed.
    if (this.#abort.aborted) return;
    this.#holding = new Holding({
      client: this.#client,
      group: this.#group,
      key: this.#settings.key,
      lease,
      contents: this.#contents,
      owned,
      onWritten: (revision, error) => this.#tellRegistered(lease, revision, error),
      onEnd: (ending) => this.#end(ending),
    });
    return this.#holding.run();
  }

  #tellRegistered(lease: Lease, revision: number, error?: unknown): void {
    const state = { status: "registered", leaseId: lease.id, revision } as const;
    this.#enter(error === undefined ? state : { ...state, error });
    this.#ready.resolve();
    publish("sd:registration:registered", () => ({
      key: escapeControl(this.key),
      leaseId: lease.id,
      revision,
    }));
  }

  /** What ends the holding of the key changes the state in the same turn. */
  #end(ending: Ending): void {
    if (this.#machine.state.status !== "registered") return;
    if (ending.type === "lost") this.#enter({ status: "lost", reason: ending.reason });
    else if (ending.type === "taken") this.#enterConflict(ending.by);
  }

  /** Another holds the key: waits until it may be ours. Neither updates nor the lease matter before. */
  async #yield(current: KeyValue, revision: number): Promise<void> {
    this.#enterConflict(current);
    await this.#untilFree((now) => this.#mayReplace(now), current, revision);
  }

  /** It may be ours, but they would take it back: leaves it to them for a while, unless they leave it. */
  async #truce(current: KeyValue, timeoutMs: number): Promise<void> {
    await this.#untilFree((now) => this.#group.isOwn(now.lease), current, current.modRevision, timeoutMs);
  }

  /** Waits until the key, which held `current` at `revision`, is gone or free, for `timeoutMs` at most. */
  async #untilFree(
    isFree: (now: KeyValue) => boolean,
    current: KeyValue,
    revision: number,
    timeoutMs?: number,
  ): Promise<void> {
    if (this.#abort.aborted) return;
    const free = deferred<void>();
    const { modRevision, lease } = current;
    const known = { revision, held: { modRevision, lease } };
    const guard = this.#group.watch(this.#settings.key, known, (now, { revision: since, epoch }) => {
      // As it was before: the list of a group may have been begun then.
      if (epoch === 1 && since <= revision) return;
      if (!now || isFree(now)) free.resolve();
      else this.#enterConflict(now);
    });
    await waitFor(free.promise, { clock: this.#client.clock, signal: this.#abort, timeoutMs }).catch(
      () => {},
    );
    await guard.close();
  }

  #enterConflict(current: KeyValue): void {
    if (this.#abort.aborted) return;
    const { state } = this.#machine;
    // The claim has found what the watch had shown.
    const isKnown = state.status === "conflict" && state.owner.modRevision === current.modRevision;
    this.#machine.enter({ status: "conflict", owner: ownerOf(current) });
    if (isKnown) return;
    publish("sd:registration:contested", () => ({
      key: escapeControl(this.key),
      leaseId: current.lease,
      repairs: this.#repairs,
    }));
  }

  async #fail(current: KeyValue): Promise<void> {
    const owner = ownerOf(current);
    const error = new SdError(
      "SD_CONFLICT",
      `key ${describe(this.key)} is held by another owner (lease ${owner.leaseId.toString(16)})`,
    );
    this.#enter({ status: "failed", error });
    this.#ready.reject(error);
    this.#contents.end(closedError(this.key));
    // `close()` waits for it anew, and has a time limit of its own.
    const left = this.#group.leave(this.#settings.key);
    await waitFor(left, { signal: this.#abort }).catch(() => {});
  }

  /** Shows why the last try failed, in the state that it leaves us in. */
  #report(error: unknown): void {
    const { state } = this.#machine;
    if (state.status === "draining" || state.status === "deregistered" || state.status === "failed") return;
    // A change of state is a line in somebody's log.
    if ("error" in state && messageOf(state.error) === messageOf(error)) return;
    this.#enter({ ...state, error });
  }

  /** Whether it will not register any more. */
  get #hasEnded(): boolean {
    return this.#abort.aborted || this.#machine.state.status === "failed";
  }

  /** Late news find a closing registration, and change nothing. */
  #enter(state: RegistrationState): void {
    if (!this.#abort.aborted) this.#machine.enter(state);
  }
}

/** Ends the waiting, not what is waited for. */
interface SignalOptions {
  readonly signal?: AbortSignal | undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function closedError(key: string): SdError {
  return new SdError("SD_CLOSED", `the registration of ${describe(key)} is closed`);
}
