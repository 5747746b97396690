import type { Etcd3Credentials, Etcd3TransportOptions } from "@sd/core";
import { type Certificate, CertificateAuthority, type EtcdAuth, type EtcdClusterOptions } from "@sd/testing";
import type { GatewayAccess } from "./gateway.js";

/** Tokens end so long after they were last used: during many faults, and of watches that need no call. */
const TOKEN_TTL_SECONDS = 5;
const PASSWORD = "pa55 of a soak";

/** Whose rights come and go in the course of a secure soak: a few. The others keep theirs. */
export type User = "registrar" | "discoverer" | "guest";

/** Who may do what in a secure soak, and shows what: users with passwords, and client certificates for all. */
export class Access {
  readonly #authority: CertificateAuthority;
  readonly #prefixes: readonly string[];
  #client: Certificate;

  private constructor(authority: CertificateAuthority, client: Certificate, prefixes: readonly string[]) {
    this.#authority = authority;
    this.#client = client;
    this.#prefixes = prefixes;
  }

  static async create(prefixes: readonly string[]): Promise<Access> {
    const authority = await CertificateAuthority.create();
    return new Access(authority, await authority.client({ user: "soak" }), prefixes);
  }

  /** For the members. Passwords are hashed as cheaply as etcd can: thousands of tokens are asked for. */
  get clusterOptions(): EtcdClusterOptions {
    return {
      tls: { authority: this.#authority, clientCertificates: true },
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

  /** For a client: read anew for each connection. */
  clientOptions(user: User): Pick<Etcd3TransportOptions, "auth" | "credentials"> {
    return { auth: { username: user, password: PASSWORD }, credentials: () => this.#credentials };
  }

  /** For the operator and the oracle. */
  get gateway(): GatewayAccess {
    const certificates = () => ({ ca: this.#authority.cert, ...this.#client });
    return { name: "root", password: PASSWORD, certificates };
  }

  /** Gives all clients another certificate, for new connections. */
  async renew(): Promise<void> {
    this.#client = await this.#authority.client({ user: "soak" });
  }

  /** For a member. */
  serverCertificate(isGood: boolean): Promise<Certificate> {
    // biome-ignore lint/style/noRestrictedGlobals: the end of a validity is no duration
    return this.#authority.server(isGood ? {} : { notAfter: new Date(0) });
  }

  get #credentials(): Etcd3Credentials {
    const { cert, key } = this.#client;
    return {
      rootCertificate: Buffer.from(this.#authority.cert),
      certChain: Buffer.from(cert),
      privateKey: Buffer.from(key),
    };
  }
}
