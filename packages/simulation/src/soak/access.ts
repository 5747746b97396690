import type { Etcd3TransportOptions } from "@sd/core";
import { type Certificate, CertificateAuthority, type EtcdAuth, type EtcdClusterOptions } from "@sd/testing";
import type { GatewayAccess } from "./gateway.js";

/** Tokens end so long after they were last used: during many faults, and of watches that need no call. */
const TOKEN_TTL_SECONDS = 5;
const PASSWORD = "pa55 of a soak";

/** Whose rights come and go in the course of a secure soak: a few. The others keep theirs. */
export type User = "registrar" | "discoverer" | "guest";

/**
 * Who may do what in a secure soak: users with passwords, over TLS.
 *
 * Without client certificates: etcd lets nobody in who shows one and asks by JSON, as the oracle does.
 */
export class Access {
  readonly #authority: CertificateAuthority;
  readonly #prefixes: readonly string[];

  private constructor(authority: CertificateAuthority, prefixes: readonly string[]) {
    this.#authority = authority;
    this.#prefixes = prefixes;
  }

  static async create(prefixes: readonly string[]): Promise<Access> {
    return new Access(await CertificateAuthority.create(), prefixes);
  }

  /** For the members. Passwords are hashed as cheaply as etcd can: thousands of tokens are asked for. */
  get clusterOptions(): EtcdClusterOptions {
    return {
      tls: { authority: this.#authority },
      args: [`--auth-token-ttl=${TOKEN_TTL_SECONDS}`, "--bcrypt-cost=4"],
    };
  }

  get auth(): EtcdAuth {
    const on = (access: "read" | "readwrite") => ({
      password: PASSWORD,
      permissions: this.#prefixes.map((prefix) => ({ prefix, access })),
    });
    return {
      users: {
        root: { password: PASSWORD },
        registrar: on("readwrite"),
        discoverer: on("read"),
        guest: on("readwrite"),
      },
    };
  }

  /** For etcdctl: gives the guests their rights, or takes them away, prefix by prefix. */
  guestRights(isGiven: boolean): string[][] {
    return this.#prefixes.map((prefix) =>
      isGiven
        ? ["role", "grant-permission", "guest", "--prefix=true", "readwrite", prefix]
        : ["role", "revoke-permission", "guest", prefix, "--prefix=true"],
    );
  }

  /** For a client. */
  clientOptions(user: User): Pick<Etcd3TransportOptions, "auth" | "credentials"> {
    const rootCertificate = Buffer.from(this.#authority.cert);
    return { auth: { username: user, password: PASSWORD }, credentials: { rootCertificate } };
  }

  /** For the operator and the oracle. */
  get gateway(): GatewayAccess {
    return { name: "root", password: PASSWORD, ca: this.#authority.cert };
  }

  /** For a member. */
  serverCertificate(isGood: boolean): Promise<Certificate> {
    // biome-ignore lint/style/noRestrictedGlobals: the end of a validity is no duration
    return this.#authority.server(isGood ? {} : { notAfter: new Date(0) });
  }
}
