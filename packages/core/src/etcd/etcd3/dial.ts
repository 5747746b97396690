import type { Timer } from "../../kit/clock.js";
import { deferred } from "../../kit/deferred.js";
import { networkError, timeoutError } from "./failures.js";
import type { Settings } from "./options.js";

/** The time between two attempts, as a part of `connectTimeoutMs`: for a member that was never reached. */
const PATIENCE = 0.3;
/** Else twice as long as an exchange with it took, and this at least. */
const MIN_PACE_MS = 1_500;
/** So many attempts are under way at once. */
const MAX_ATTEMPTS = 4;
/** So many times `connectTimeoutMs` are given to a peer that has begun to answer. */
const MAX_PATIENCE = 3;

/** A connection in the making. */
export interface Attempt {
  /** Whether the peer has sent anything yet. */
  readonly hasHeard: boolean;
  /** Resolves when it can be used. */
  open(): Promise<void>;
  close(): Promise<void>;
}

/**
 * The making of one connection to one member.
 *
 * A link that is slow and a peer that accepts and stays silent look the same. So an attempt is given all of
 * `connectTimeoutMs`, and others begin beside it meanwhile: the first that is ready wins, the rest are closed.
 * Before there are too many, a newer one takes the place of one that has not been answered, never of the
 * first. A refusal ends them all.
 *
 * Over TLS there are three round trips to make: if the peer has begun to answer, the time is prolonged.
 */
export class Dial<Connection extends Attempt> {
  readonly #settings: Settings;
  readonly #endpoint: string;
  readonly #connect: () => Connection;
  readonly #opened = deferred<Connection>();
  readonly #attempts: Connection[] = [];
  readonly #timers: Timer[] = [];
  /** Of attempts that gave way to newer ones. */
  readonly #closing: Promise<void>[] = [];
  readonly #paceMs: number;
  #isOver = false;
  #waiting = 0;

  /**
   * @param connect makes a connection that is not open yet; what it throws ends the dialing.
   * @param roundTripMs how long an exchange with the member took last; `undefined`: there was none yet.
   */
  constructor(
    settings: Settings,
    endpoint: string,
    connect: () => Connection,
    roundTripMs: number | undefined,
  ) {
    this.#settings = settings;
    this.#endpoint = endpoint;
    this.#connect = connect;
    const slowMs = PATIENCE * settings.connectTimeoutMs;
    this.#paceMs =
      roundTripMs === undefined ? slowMs : Math.min(slowMs, Math.max(MIN_PACE_MS, 2 * roundTripMs));
    this.#limit(1);
    this.#attempt();
  }

  /** One more waits for the connection. */
  wait(): Promise<Connection> {
    this.#waiting += 1;
    return this.#opened.promise;
  }

  /**
   * One of those who wait has what it needs from elsewhere. After the last the attempts are closed, and
   * `wait()` never settles.
   *
   * @returns whether it was the last.
   */
  abandon(): boolean {
    this.#waiting -= 1;
    if (this.#waiting > 0 || this.#isOver) return false;
    void this.#end();
    return true;
  }

  /** Ends the dialing. Resolves when no socket is open. */
  async close(): Promise<void> {
    this.#opened.promise.catch(() => {});
    this.#opened.reject(networkError("connection closed while connecting", this.#endpoint));
    await this.#end();
  }

  /** Fails when the time is over, for the `round`th time: at first only if nothing was heard. */
  #limit(round: number): void {
    const { connectTimeoutMs } = this.#settings;
    this.#after(connectTimeoutMs, () => {
      if (round < MAX_PATIENCE && this.#attempts.some(({ hasHeard }) => hasHeard)) this.#limit(round + 1);
      else
        this.#fail(
          timeoutError(`no HTTP/2 connection within ${round * connectTimeoutMs} ms`, this.#endpoint),
        );
    });
  }

  #attempt(): void {
    try {
      if (this.#makeRoom()) this.#open(this.#connect());
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#after(this.#paceMs, () => this.#attempt());
  }

  #open(connection: Connection): void {
    this.#attempts.push(connection);
    connection.open().then(
      () => this.#win(connection),
      (error) => {
        if (this.#attempts.includes(connection)) this.#fail(error);
      },
    );
  }

  /** Whether another attempt may be made, perhaps in the place of an older one. */
  #makeRoom(): boolean {
    if (this.#attempts.length < MAX_ATTEMPTS) return true;
    const index = this.#attempts.findIndex((attempt, nth) => nth > 0 && !attempt.hasHeard);
    if (index < 0) return false;
    this.#closing.push(...this.#attempts.splice(index, 1).map((attempt) => attempt.close()));
    return true;
  }

  #win(connection: Connection): void {
    if (this.#isOver) return;
    this.#opened.resolve(connection);
    void this.#end(connection);
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#opened.reject(error);
    void this.#end();
  }

  #after(delayMs: number, step: () => void): void {
    if (!this.#isOver) this.#timers.push(this.#settings.clock.setTimer(delayMs, step));
  }

  async #end(winner?: Connection): Promise<void> {
    this.#isOver = true;
    for (const timer of this.#timers.splice(0)) timer[Symbol.dispose]();
    const losers = this.#attempts.filter((attempt) => attempt !== winner);
    await Promise.all([...this.#closing, ...losers.map((attempt) => attempt.close())]);
  }
}
