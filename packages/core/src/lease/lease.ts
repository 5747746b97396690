import type { KeepAliveResponse, LeaseId } from "../etcd/types.js";
import { invalidArgument, SdError } from "../kit/errors.js";
import { Listeners, Machine, type StateListener, type Transitions } from "../kit/machine.js";
import { Mailbox, newestOnly } from "../kit/mailbox.js";
import type { Scheduled } from "../kit/schedule.js";

/**
 * What a lease is.
 *
 * - `unproven`: known by its id only; no answer about it yet.
 * - `active`: alive until `deadline` (on the client's clock) at least.
 * - `lost`: cannot be proved to live. `expired`: etcd says that it is gone. `overdue`: no renewal was
 *   confirmed in time; etcd may still hold it, see `Leases.recover()`.
 * - `released`: no longer renewed; etcd ends it within its TTL.
 * - `revoked`: given up; `Leases.revoke()` told etcd, or is telling it.
 */
export type LeaseState =
  | { readonly status: "unproven" }
  | { readonly status: "active"; readonly deadline: number }
  | { readonly status: "lost"; readonly reason: "expired" | "overdue" }
  | { readonly status: "released" }
  | { readonly status: "revoked" };

export const leaseTransitions: Transitions<LeaseState> = {
  unproven: ["active", "lost", "released", "revoked"],
  active: ["active", "lost", "released", "revoked"],
  lost: ["revoked"],
  released: ["revoked"],
  revoked: [],
};

/** A confirmed renewal, as etcd answered it. */
export type Renewal = KeepAliveResponse;

/** How a revocation went. */
export type Revocation =
  /** Every key of the lease is gone at `revision`; `undefined` if the lease had ended before. */
  | { readonly confirmed: true; readonly revision: number | undefined }
  /** Not acknowledged in time: etcd ends the lease by itself within its TTL after it is reachable. */
  | { readonly confirmed: false; readonly cause: unknown };

/** A renewal on its way. */
export interface Asked {
  /** When it was sent, by the clock. */
  readonly at: number;
  /** The how manieth on its stream. */
  readonly number: number;
}

/** What a lease may ask of the hub that renews it. */
export interface LeaseOwner {
  forget(lease: Lease): void;
  revoke(lease: Lease, options: RevokeOptions): Promise<Revocation>;
}

export interface RevokeOptions {
  /**
   * How long to try, in milliseconds. Default 3000. Of many at once 128 are under way; the time of the others
   * counts from their turn, and they give up when etcd has confirmed none for so long.
   */
  readonly timeoutMs?: number | undefined;
}

/**
 * A lease that is kept alive until it is revoked, released or lost.
 *
 * It is lost when one TTL has passed since the last confirmed renewal was *sent*.
 * etcd starts to count later, so the holder always stops before etcd forgets it.
 * A lost lease stays lost: take a new one, or prove with `Leases.recover()` that etcd still has it.
 * Close it, or it renews for ever.
 */
export class Lease implements Scheduled, AsyncDisposable {
  readonly id: LeaseId;
  /** @internal */
  dueAt = 0;
  /** @internal */
  heapIndex = -1;
  /** The oldest renewal that waits for its answer. @internal */
  asked: Asked | undefined;
  /** When the next renewal is due. @internal */
  renewAt = 0;

  readonly #machine = new Machine<LeaseState>({ status: "unproven" }, leaseTransitions);
  readonly #renewals = new Listeners<[renewal: Renewal]>();
  readonly #owner: LeaseOwner;
  #ttlSeconds: number;

  /** @internal made by `Leases` */
  constructor(id: LeaseId, ttlSeconds: number, owner: LeaseOwner) {
    this.id = id;
    this.#ttlSeconds = ttlSeconds;
    this.#owner = owner;
  }

  /** The TTL as etcd granted it, in seconds; it may be longer than asked for. */
  get ttlSeconds(): number {
    return this.#ttlSeconds;
  }

  get state(): LeaseState {
    return this.#machine.state;
  }

  /** Calls `listener` on every change of state, in order. */
  subscribe(listener: StateListener<LeaseState>): Disposable {
    return this.#machine.subscribe(listener);
  }

  /** Calls `listener` on every confirmed renewal, from the socket's read. */
  onRenewal(listener: (renewal: Renewal) => void): Disposable {
    return this.#renewals.add(listener);
  }

  /**
   * The confirmed renewals from now on. A slow reader gets the newest and may miss those before it.
   * Ends with the lease; throws `signal.reason` when the signal aborts.
   */
  renewals({ signal }: { readonly signal?: AbortSignal } = {}): AsyncIterable<Renewal> {
    const box = new Mailbox<Renewal>(newestOnly(), () => {
      renewed[Symbol.dispose]();
      ended[Symbol.dispose]();
    });
    const renewed = this.onRenewal((renewal) => box.put(renewal));
    const ended = this.subscribe((state) => {
      if (state.status !== "active") box.close();
    });
    if (this.hasEnded) box.close();
    return box.read(signal);
  }

  /** Whether it is certainly not going to be renewed any more. */
  get hasEnded(): boolean {
    return this.state.status !== "active" && this.state.status !== "unproven";
  }

  /**
   * Ends the lease in etcd: all its keys are deleted at once, and nothing can be bound to it any more.
   * Tries until `timeoutMs`; the result says whether etcd confirmed.
   *
   * @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a time, and the lease goes on; nothing else.
   */
  async revoke(options: RevokeOptions = {}): Promise<Revocation> {
    if (options.timeoutMs !== undefined) checkTimeout(options.timeoutMs);
    if (this.#machine.allows("revoked")) this.#end({ status: "revoked" });
    return await this.#owner.revoke(this, options);
  }

  /** Stops renewing; etcd ends the lease one TTL after the last renewal. */
  release(): void {
    if (!this.hasEnded) this.#end({ status: "released" });
  }

  /** Revokes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.revoke();
  }

  /** @internal A renewal sent at `sentAt` was confirmed. */
  confirm(ttlSeconds: number, sentAt: number, renewal?: Renewal): void {
    this.#ttlSeconds = ttlSeconds;
    this.#machine.enter({ status: "active", deadline: sentAt + ttlSeconds * 1_000 });
    // A listener of the state may have ended the lease.
    if (renewal && !this.hasEnded) this.#renewals.emit(renewal);
  }

  /** @internal */
  lose(reason: "expired" | "overdue"): void {
    if (!this.hasEnded) this.#end({ status: "lost", reason });
  }

  #end(state: Exclude<LeaseState, { readonly status: "active" | "unproven" }>): void {
    this.#owner.forget(this);
    this.#machine.enter(state);
  }
}

/** @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a time. */
export function checkTimeout(timeoutMs: number): void {
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    throw invalidArgument("timeoutMs", "a number of milliseconds", timeoutMs);
  }
}

/** The error of a lease that is gone. */
export function leaseLost(id: LeaseId, cause?: unknown): SdError {
  return new SdError("SD_LEASE_LOST", `lease ${id.toString(16)} is gone`, { cause });
}
