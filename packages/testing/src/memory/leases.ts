import type { Clock, Timer } from "@sd/core";
import type { KeyText } from "./keys.js";
import { refusal } from "./refusals.js";
import type { LeaseBinding } from "./store.js";

interface Lease {
  readonly id: bigint;
  readonly ttlSeconds: number;
  readonly keys: Set<KeyText>;
  expiresAt: number;
  timer: Timer;
}

/** etcd refuses more. */
const MAX_TTL_SECONDS = 9_000_000_000;

/** Ended leases that are remembered. */
const MAX_ENDED = 10_000;

/**
 * The leases of a store, each running down on the clock until it is renewed.
 *
 * `onExpire` is called when one has run down; it must end it with `remove()`.
 */
export class Leases implements LeaseBinding {
  readonly #clock: Clock;
  readonly #minTtlSeconds: number;
  readonly #onExpire: (id: bigint) => void;
  readonly #leases = new Map<bigint, Lease>();
  /** The TTLs of those that have ended, the last `MAX_ENDED`. */
  readonly #ended = new Map<bigint, number>();
  #nextId = 7_587_854_263_842_160_901n;
  #paused = false;

  constructor(clock: Clock, minTtlSeconds: number, onExpire: (id: bigint) => void) {
    this.#clock = clock;
    this.#minTtlSeconds = minTtlSeconds;
    this.#onExpire = onExpire;
  }

  get ids(): readonly bigint[] {
    return [...this.#leases.keys()];
  }

  /** Those that end first come first. */
  get byExpiry(): readonly bigint[] {
    return [...this.#leases.values()]
      .sort((one, other) => one.expiresAt - other.expiresAt)
      .map(({ id }) => id);
  }

  has(id: bigint): boolean {
    return this.#leases.has(id);
  }

  /** What is known of a lease: whole seconds left, the TTL that was granted, and its keys in their order. */
  timeToLive(id: bigint): { ttl: number; grantedTtl: number; keys: readonly KeyText[] } | undefined {
    const lease = this.#leases.get(id);
    if (!lease) return undefined;
    const leftMs = Math.max(0, lease.expiresAt - this.#clock.now());
    return { ttl: Math.floor(leftMs / 1000), grantedTtl: lease.ttlSeconds, keys: [...lease.keys].sort() };
  }

  /** The keys of a lease in their order; none if there is no such lease. */
  keysOf(id: bigint): readonly KeyText[] {
    return [...(this.#leases.get(id)?.keys ?? [])].sort();
  }

  /** An id that no lease has. Too big for a `number`, as etcd's are. */
  freeId(): bigint {
    while (this.#leases.has(this.#nextId)) this.#nextId += 1n;
    return this.#nextId++;
  }

  /** Makes a lease; returns its TTL, which may be longer than asked for. */
  grant(id: bigint, ttlSeconds: number): number {
    if (ttlSeconds > MAX_TTL_SECONDS) throw refusal("leaseTtlTooLarge");
    if (this.#leases.has(id)) throw refusal("leaseExists");
    this.#ended.delete(id);
    const granted = Math.max(ttlSeconds, this.#minTtlSeconds);
    const expiresAt = this.#clock.now() + granted * 1000;
    const timer = this.#startTimer(id, granted * 1000);
    this.#leases.set(id, { id, ttlSeconds: granted, keys: new Set(), expiresAt, timer });
    return granted;
  }

  /** The TTL that a lease had that has ended. */
  endedTtl(id: bigint): number | undefined {
    return this.#ended.get(id);
  }

  /** Gives a lease its full TTL again and returns it, in seconds; 0 if there is no such lease. */
  renew(id: bigint): number {
    const lease = this.#leases.get(id);
    if (!lease) return 0;
    lease.timer[Symbol.dispose]();
    lease.expiresAt = this.#clock.now() + lease.ttlSeconds * 1000;
    lease.timer = this.#startTimer(id, lease.ttlSeconds * 1000);
    return lease.ttlSeconds;
  }

  /**
   * Ends a lease and returns the keys that go with it, in their order.
   *
   * @throws SdError as etcd does, if there is no such lease.
   */
  remove(id: bigint): KeyText[] {
    const lease = this.#leases.get(id);
    if (!lease) throw refusal("leaseNotFound");
    lease.timer[Symbol.dispose]();
    this.#leases.delete(id);
    this.#ended.set(id, lease.ttlSeconds);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= MAX_ENDED) break;
      this.#ended.delete(oldest);
    }
    return [...lease.keys].sort();
  }

  bind(id: bigint, key: KeyText): void {
    this.#leases.get(id)?.keys.add(key);
  }

  unbind(id: bigint, key: KeyText): void {
    this.#leases.get(id)?.keys.delete(key);
  }

  /** From now on nothing expires, though the time runs on. */
  pause(): void {
    this.#paused = true;
  }

  /** What has run down meanwhile expires now, in the order of the deadlines. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const now = this.#clock.now();
    const due = [...this.#leases.values()].filter(({ expiresAt }) => expiresAt <= now);
    due.sort((one, other) => one.expiresAt - other.expiresAt);
    for (const { id } of due) if (this.#leases.has(id)) this.#onExpire(id);
  }

  /** Gives every lease its full TTL, as a new leader does. */
  renewAll(): void {
    for (const id of this.#leases.keys()) this.renew(id);
  }

  /** Forgets all leases, without a word. */
  clear(): void {
    for (const { timer } of this.#leases.values()) timer[Symbol.dispose]();
    this.#leases.clear();
    this.#ended.clear();
  }

  #startTimer(id: bigint, delayMs: number): Timer {
    return this.#clock.setTimer(delayMs, () => {
      const lease = this.#leases.get(id);
      if (!lease || this.#paused) return;
      const leftMs = lease.expiresAt - this.#clock.now();
      // A timer of a real clock may be early by a fraction, or cut short by its limit of 2^31 ms.
      if (leftMs > 0) lease.timer = this.#startTimer(id, leftMs);
      else this.#onExpire(id);
    });
  }
}
