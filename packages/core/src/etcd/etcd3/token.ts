import { failureOf } from "../failure.js";

/** What goes with a call to prove who we are; `undefined` if nothing has to. */
export type Token = string | undefined;

/** What bounds the wait for a token; the request for it goes on. */
export interface Waiting {
  wait<T>(work: Promise<T>): Promise<T>;
}

/**
 * The token of etcd's authentication, fetched when it is first needed and again when it was refused.
 *
 * All who wait for one share one request: each costs etcd a bcrypt. A token is good for the whole cluster.
 */
export class Tokens {
  readonly #authenticate: (() => Promise<string>) | undefined;
  #current: Promise<Token> | undefined;
  /** What came of `#current`, to tell a refusal of it from a late one of its predecessor. */
  #fetched: { readonly token: Token } | undefined;

  /** @param authenticate asks etcd; absent if no name and password are configured. */
  constructor(authenticate: (() => Promise<string>) | undefined) {
    this.#authenticate = authenticate;
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

  #fetch(authenticate: () => Promise<string>): Promise<Token> {
    return authenticate().then<Token, Token>(
      (token) => {
        this.#fetched = { token };
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
