import { type Clock, systemClock } from "../../kit/clock.js";
import { failureOf } from "../failure.js";

/** What goes with a call to prove who we are; `undefined` if nothing has to. */
export type Token = string | undefined;

/** What bounds the wait for a token; the request for it goes on. */
export interface Waiting {
  wait<T>(work: Promise<T>): Promise<T>;
}

/** An older silence has nothing to do with the next. */
const DOUBT_MS = 60_000;

/**
 * The token of etcd's authentication, fetched when it is first needed, and again when it was refused or left without
 * an answer twice.
 *
 * All who wait for one share one request: each costs etcd a bcrypt. A token is good for the whole cluster.
 */
export class Tokens {
  readonly #authenticate: (() => Promise<string>) | undefined;
  readonly #clock: Pick<Clock, "now">;
  #current: Promise<Token> | undefined;
  /** What came of `#current`, to tell a refusal of it from a late one of its predecessor. */
  #fetched: { readonly token: Token } | undefined;
  /** When the first went unanswered of those that did lately. */
  #doubtedAt: number | undefined;

  /** @param authenticate asks etcd; absent if no name and password are configured. */
  constructor(authenticate: (() => Promise<string>) | undefined, clock: Pick<Clock, "now"> = systemClock) {
    this.#authenticate = authenticate;
    this.#clock = clock;
  }

  get isConfigured(): boolean {
    return this.#authenticate !== undefined;
  }

  async get(bounds: Waiting): Promise<Token> {
    if (!this.#authenticate) return undefined;
    this.#current ??= this.#fetch(this.#authenticate);
    return bounds.wait(this.#current);
  }

  /** etcd has refused `used`. A newer token stays. */
  refuse(used: Token): void {
    if (!this.#fetched || this.#fetched.token !== used) return;
    this.#fetched = undefined;
    this.#current = undefined;
  }

  /**
   * Nothing was answered in time to who has shown `used` on a connection that was made at `connectedAt`.
   *
   * etcd waits with a token until its log is as long as it was when it gave it (`isValidSimpleToken()`). One that
   * was restored from a snapshot begins its log anew, and does not answer for as long as the old one had lived: so
   * who gets no answer on another connection either, made after the first silence, does not use it again. Not before:
   * a dead link is no reason for each of its clients to cost etcd a bcrypt.
   */
  doubt(used: Token, connectedAt: number): void {
    if (used === undefined || this.#fetched?.token !== used) return;
    const now = this.#clock.now();
    const since = this.#doubtedAt;
    if (since === undefined || since < now - DOUBT_MS) this.#doubtedAt = now;
    else if (connectedAt >= since) this.refuse(used);
  }

  #fetch(authenticate: () => Promise<string>): Promise<Token> {
    return authenticate().then<Token, Token>(
      (token) => {
        this.#fetched = { token };
        this.#doubtedAt = undefined;
        return token;
      },
      (error) => {
        if (isAuthenticationOff(error)) {
          this.#fetched = { token: undefined };
          return undefined;
        }
        this.#current = undefined;
        throw error;
      },
    );
  }
}

/** Credentials are configured, but etcd asks nobody for any (status 9). */
function isAuthenticationOff(error: unknown): boolean {
  return failureOf(error) !== undefined && (error as Error).message.includes("authentication is not enabled");
}
