import { failureOf, isLasting } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { LeaseId } from "../etcd/types.js";
import { Backoff } from "../kit/backoff.js";
import type { Clock } from "../kit/clock.js";
import { SdError } from "../kit/errors.js";
import type { Random } from "../kit/random.js";
import { sleep } from "../kit/signals.js";
import { Turns } from "../kit/turns.js";
import type { Revocation } from "./lease.js";

/** So many under way keep etcd busy; of more, the last would wait for their answers past their time. */
const MAX_UNDER_WAY = 128;
/** So many times its own time may one wait for its turn. */
const MAX_TURN_TIMEOUTS = 10;

/**
 * Ends leases in etcd, `MAX_UNDER_WAY` at a time.
 *
 * The time of each counts from its turn. The turn comes as long as etcd confirms: when it has confirmed none
 * for the time that one is given, those who wait give up with the others.
 */
export class Revocations {
  readonly #transport: EtcdTransport;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #turns = new Turns(MAX_UNDER_WAY);
  #confirmedAt = Number.NEGATIVE_INFINITY;

  constructor(transport: EtcdTransport, clock: Clock, random: Random) {
    this.#transport = transport;
    this.#clock = clock;
    this.#random = random;
  }

  /** Tries until `timeoutMs` after its turn has come. Never throws. */
  async revoke(id: LeaseId, timeoutMs: number): Promise<Revocation> {
    try {
      using _turn = await this.#turn(timeoutMs);
      return await this.#try(id, timeoutMs);
    } catch (error) {
      return { confirmed: false, cause: error };
    }
  }

  async #turn(timeoutMs: number): Promise<Disposable> {
    const since = this.#clock.now();
    const dueAt = (): number =>
      Math.min(Math.max(since, this.#confirmedAt) + timeoutMs, since + MAX_TURN_TIMEOUTS * timeoutMs);
    const patience = new AbortController();
    const look = (): void => {
      const leftMs = dueAt() - this.#clock.now();
      if (leftMs > 0) timer = this.#clock.setTimer(leftMs, look);
      else patience.abort(notSent());
    };
    let timer = this.#clock.setTimer(timeoutMs, look);
    try {
      const turn = await this.#turns.take(patience.signal);
      // Handed on by one whose time was over: so is ours.
      if (this.#clock.now() > since && this.#clock.now() >= dueAt()) {
        turn[Symbol.dispose]();
        throw notSent();
      }
      return turn;
    } finally {
      timer[Symbol.dispose]();
    }
  }

  async #try(id: LeaseId, timeoutMs: number): Promise<Revocation> {
    const until = this.#clock.now() + timeoutMs;
    const deadline = new AbortController();
    const timer = this.#clock.setTimer(timeoutMs, () =>
      deadline.abort(new SdError("SD_UNAVAILABLE", `revocation not confirmed in ${timeoutMs} ms`)),
    );
    try {
      for (let backoff = Backoff.start({ capMs: 500 }); ; backoff = backoff.next()) {
        try {
          const left = until - this.#clock.now();
          // One silent member may not use up the whole time.
          const options = { signal: deadline.signal, timeoutMs: Math.max(1, Math.min(left, timeoutMs / 2)) };
          const { header } = await this.#transport.revoke(id, options);
          return this.#confirmed(header.revision);
        } catch (error) {
          if (failureOf(error) === "lease-not-found") return this.#confirmed(undefined);
          if (isLasting(error) || SdError.is(error, "SD_CLOSED") || deadline.signal.aborted) {
            return { confirmed: false, cause: error };
          }
          await sleep(this.#clock, backoff.delayMs(this.#random), deadline.signal);
        }
      }
    } catch (error) {
      return { confirmed: false, cause: error };
    } finally {
      timer[Symbol.dispose]();
    }
  }

  #confirmed(revision: number | undefined): Revocation {
    this.#confirmedAt = this.#clock.now();
    return { confirmed: true, revision };
  }
}

function notSent(): SdError {
  return new SdError("SD_UNAVAILABLE", "revocation not sent: etcd does not confirm those before it");
}
