import {
  type EtcdClient,
  Machine,
  once,
  type Revocation,
  requireSignal,
  type StateListener,
  waitFor,
} from "@sd/core";
import { type GroupState, groupTransitions } from "./group-state.js";
import { LeaseGroup } from "./lease-group.js";
import type { Settings } from "./options.js";
import { Registration } from "./registration.js";
import type { RegistrationState } from "./registration-state.js";

/**
 * So many keys share a lease at most: a revocation, or an expiry, deletes them all in one revision, which every
 * watch gets as one message.
 */
const MAX_KEYS_PER_LEASE = 1_000;

/**
 * Many registrations of one process on few leases.
 *
 * Each has its own state and keeps every promise of a `Registration`; what they share is the lease, up to 1,000
 * of them, the transactions that they write with, and the watches over their keys. One that cannot register
 * holds up no other.
 */
export class RegistrationGroup<Update> implements AsyncDisposable {
  /**
   * In the order in which they were asked for. One that is closed by itself has its key deleted, guarded by the
   * lease; the last of a lease revokes it.
   */
  readonly registrations: readonly Registration<Update>[];
  readonly #machine = new Machine<GroupState>({ status: "registering" }, groupTransitions);
  readonly #leases: readonly LeaseGroup[];
  /** Of each registration, in their order. */
  readonly #leaseOf: readonly (LeaseGroup | undefined)[];
  readonly #attachment: Disposable;
  #registered = 0;
  /** Those that were registered once, or have ended. */
  readonly #settled = new Set<Registration<Update>>();
  /** How many are not closed. */
  #open: number;
  readonly #closeOnce = once(() => this.#close());

  /** @internal see `startAllRegistrations()` */
  constructor(client: EtcdClient, settings: readonly Settings<Update>[]) {
    this.#attachment = client.attach(this);
    this.#open = settings.length;
    const groups = shareLeases(settings);
    const leaseOf = new Map<Settings<Update>, LeaseGroup>();
    this.#leases = groups.map((terms) => {
      const lease = new LeaseGroup(client, terms);
      for (const each of terms) leaseOf.set(each, lease);
      return lease;
    });
    this.#leaseOf = settings.map((each) => leaseOf.get(each));
    this.registrations = settings.map((each) => {
      const registration = new Registration(client, each, leaseOf.get(each));
      registration.subscribe((state, previous) => this.#follow(registration, state, previous));
      return registration;
    });
  }

  get state(): GroupState {
    return this.#machine.state;
  }

  /** How many are registered now. */
  get registered(): number {
    return this.#registered;
  }

  /** Calls `listener` on every change of the group's state, in order. Each registration has listeners of its own. */
  subscribe(listener: StateListener<GroupState>): Disposable {
    return this.#machine.subscribe(listener);
  }

  /**
   * Resolves once each was written by us, bound to our live lease. Waits as long as that takes.
   *
   * @throws `signal.reason` when the signal aborts; the registrations go on.
   * @throws SdError `SD_CONFLICT` if a key is another's and the policy is `fail`; the others go on.
   * @throws SdError `SD_CLOSED` if one is closed before.
   */
  async ready({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    requireSignal(signal);
    const all = Promise.all(this.registrations.map((registration) => registration.ready()));
    await waitFor(all, { signal });
  }

  /**
   * Deregisters all: revokes the leases, so that all keys are gone at once, and nobody else's is touched.
   *
   * Takes `closeTimeoutMs` at most, and never throws. Confirmed if each revocation is; `revision` is then the one
   * from which on all are gone. If not, the keys go with their leases. Idempotent.
   */
  close(): Promise<Revocation> {
    return this.#closeOnce();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<Revocation> {
    this.#machine.enter({ status: "draining" });
    for (const lease of this.#leases) lease.disband();
    const closed = await Promise.all(this.registrations.map((registration) => registration.close()));
    const revocation = sumOf(
      closed.map((own, index) => {
        // One that was closed before, in vain, has gone with the lease.
        const common = this.#leaseOf[index]?.revocation;
        return common?.confirmed ? common : own;
      }),
    );
    this.#attachment[Symbol.dispose]();
    this.#machine.enter({ status: "deregistered", confirmed: revocation.confirmed });
    return revocation;
  }

  #follow(registration: Registration<Update>, state: RegistrationState, previous: RegistrationState): void {
    this.#registered += Number(state.status === "registered") - Number(previous.status === "registered");
    if (state.status === "draining") this.#open -= 1;
    const hasEnded = state.status === "draining" || state.status === "failed";
    if (state.status === "registered" || hasEnded) this.#settled.add(registration);
    if (this.#settled.size < this.registrations.length) return;
    const status = this.#registered === this.#open ? "registered" : "partial";
    if (status !== this.state.status && this.#machine.allows(status)) this.#machine.enter({ status });
  }
}

/** Neighbours share, so that the keys of one lease lie close together. */
function shareLeases<Update>(
  settings: readonly Settings<Update>[],
): [Settings<Update>, ...Settings<Update>[]][] {
  const sorted = [...settings].sort((one, other) => Buffer.compare(one.key, other.key));
  const count = Math.ceil(sorted.length / MAX_KEYS_PER_LEASE);
  const shares: [Settings<Update>, ...Settings<Update>[]][] = [];
  for (let index = 0; index < count; index += 1) {
    const from = Math.floor((index * sorted.length) / count);
    const to = Math.floor(((index + 1) * sorted.length) / count);
    const [first, ...others] = sorted.slice(from, to);
    if (first) shares.push([first, ...others]);
  }
  return shares;
}

function sumOf(revocations: readonly Revocation[]): Revocation {
  let last: number | undefined;
  for (const revocation of revocations) {
    if (!revocation.confirmed) return revocation;
    if (revocation.revision !== undefined) last = Math.max(last ?? 0, revocation.revision);
  }
  return { confirmed: true, revision: last };
}
