import { type Clock, invalidArgument } from "@sd/core";

interface Token {
  readonly user: string;
  usedAt: number;
}

/** etcd's simple tokens: each ends when it was not used for its TTL, or with its user, or with etcd's process. */
export class SimpleTokens {
  readonly #clock: Clock;
  readonly #ttlSeconds: number;
  readonly #tokens = new Map<string, Token>();
  #count = 0;

  /** @throws SdError `SD_INVALID_ARGUMENT` */
  constructor(clock: Clock, ttlSeconds: number) {
    if (!(ttlSeconds > 0)) throw invalidArgument("authTokenTtlSeconds", "a number above 0", ttlSeconds);
    this.#clock = clock;
    this.#ttlSeconds = ttlSeconds;
  }

  /** A new token of this user, in etcd's form. It is no secret: the same run gives the same tokens. */
  assign(user: string): string {
    this.#count += 1;
    const token = `memoryEtcdTokens.${this.#count}`;
    this.#tokens.set(token, { user, usedAt: this.#clock.now() });
    return token;
  }

  /** Whose it is; `undefined` if it is over, or never was. Asking is use. */
  userOf(token: string): string | undefined {
    const known = this.#tokens.get(token);
    if (!known) return undefined;
    const now = this.#clock.now();
    if (now - known.usedAt >= this.#ttlSeconds * 1000) {
      this.#tokens.delete(token);
      return undefined;
    }
    known.usedAt = now;
    return known.user;
  }

  /** Ends the tokens of one user. */
  endOf(user: string): void {
    for (const [token, known] of this.#tokens) if (known.user === user) this.#tokens.delete(token);
  }

  /** Ends all of them. */
  endAll(): void {
    this.#tokens.clear();
  }
}
