import { type Clock, invalidArgument } from "@sd/core";

interface Token {
  readonly user: string;
  readonly usedAt: number;
}

/** etcd's simple tokens: each ends when it was not used for its TTL, or with its user, or with etcd's process. */
export class SimpleTokens {
  readonly #clock: Clock;
  readonly #ttlSeconds: number;
  /** The least recently used comes first. */
  readonly #tokens = new Map<string, Token>();
  #count = 0;

  /** @throws SdError `SD_INVALID_ARGUMENT` */
  constructor(clock: Clock, ttlSeconds: number) {
    if (!(ttlSeconds > 0)) throw invalidArgument("authTokenTtlSeconds", "a number above 0", ttlSeconds);
    this.#clock = clock;
    this.#ttlSeconds = ttlSeconds;
  }

  /** How many are kept. */
  get size(): number {
    return this.#tokens.size;
  }

  /** A new token of this user, in etcd's form. It is no secret: the same run gives the same tokens. */
  assign(user: string): string {
    this.#forgetOld();
    this.#count += 1;
    const token = `memoryEtcdTokens.${this.#count}`;
    this.#tokens.set(token, { user, usedAt: this.#clock.now() });
    return token;
  }

  /** Whose it is; `undefined` if it is over, or never was. Asking is use. */
  userOf(token: string): string | undefined {
    const known = this.#tokens.get(token);
    if (!known) return undefined;
    this.#tokens.delete(token);
    if (this.#isOver(known)) return undefined;
    this.#tokens.set(token, { user: known.user, usedAt: this.#clock.now() });
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

  /** Those that nobody asks for again. */
  #forgetOld(): void {
    for (const [token, known] of this.#tokens) {
      if (!this.#isOver(known)) return;
      this.#tokens.delete(token);
    }
  }

  #isOver({ usedAt }: Token): boolean {
    return this.#clock.now() - usedAt >= this.#ttlSeconds * 1000;
  }
}
