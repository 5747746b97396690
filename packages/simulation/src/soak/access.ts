import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Etcd3Credentials, Etcd3TransportOptions } from "@sd/core";
import { type Certificate, CertificateAuthority, type EtcdAuth, type EtcdClusterOptions } from "@sd/testing";
import type { GatewayAccess } from "./gateway.js";

/** Tokens end so long after they were last used: during many faults, and of watches that need no call. */
const TOKEN_TTL_SECONDS = 5;
const PASSWORD = "pa55 of a soak";

/** Whose rights come and go in the course of a secure soak: the guests'. The others keep theirs. */
export type User = "registrar" | "discoverer" | "guest";

/**
 * Who may do what in a secure soak: users with passwords, over TLS with certificates of both sides.
 *
 * Certificates of clients name no user: etcd lets nobody in who shows such a one and asks by JSON, as the oracle
 * does. They are files, which clients read for each connection. Dispose it: they are removed.
 */
export class Access implements Disposable {
  readonly #prefixes: readonly string[];
  readonly #directory = mkdtempSync(join(tmpdir(), "sd-soak-"));
  #authority: CertificateAuthority;

  private constructor(authority: CertificateAuthority, prefixes: readonly string[]) {
    this.#authority = authority;
    this.#prefixes = prefixes;
  }

  static async create(prefixes: readonly string[]): Promise<Access> {
    const authority = await CertificateAuthority.create();
    const access = new Access(authority, prefixes);
    await access.issue(authority, [authority]);
    return access;
  }

  /** For the members. Passwords are hashed as cheaply as etcd can: thousands of tokens are asked for. */
  get clusterOptions(): EtcdClusterOptions {
    return {
      tls: { authority: this.#authority, clientCertificates: true },
      args: ["--client-cert-auth=false", `--auth-token-ttl=${TOKEN_TTL_SECONDS}`, "--bcrypt-cost=4"],
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

  /** For etcdctl: has registrars and discoverers act in other roles, or their own. Nobody is without rights. */
  otherRoles(isOther: boolean): string[][] {
    const others = { registrar: "guest", discoverer: "registrar" };
    return Object.entries(others).flatMap(([user, other]) => [
      ["user", "grant-role", user, isOther ? other : user],
      ["user", "revoke-role", user, isOther ? user : other],
    ]);
  }

  /** For the gateway: the password of the guests, theirs or another one. */
  guestPassword(isTheirs: boolean): { readonly name: User; readonly password: string } {
    return { name: "guest", password: isTheirs ? PASSWORD : "another one" };
  }

  /** For a client. */
  clientOptions(user: User): Pick<Etcd3TransportOptions, "auth" | "credentials"> {
    return {
      auth: { username: user, password: PASSWORD },
      credentials: (): Etcd3Credentials => ({
        rootCertificate: this.#read("trusted"),
        certChain: this.#read("client"),
        privateKey: this.#read("key"),
      }),
    };
  }

  /** For the operator and the oracle. */
  get gateway(): GatewayAccess {
    return {
      name: "root",
      password: PASSWORD,
      tls: () => ({ ca: this.#read("trusted"), cert: this.#read("client"), key: this.#read("key") }),
    };
  }

  get authority(): CertificateAuthority {
    return this.#authority;
  }

  /** For a member. */
  serverCertificate(isGood: boolean): Promise<Certificate> {
    // biome-ignore lint/style/noRestrictedGlobals: the end of a validity is no duration
    return this.#authority.server(isGood ? {} : { notAfter: new Date(0) });
  }

  /** Writes a new certificate for clients, and whom they are to trust. `authority` signs from now on. */
  async issue(authority: CertificateAuthority, trusted: readonly CertificateAuthority[]): Promise<void> {
    const { cert, key } = await authority.client({ user: "soak" });
    this.#authority = authority;
    // In one turn: nobody reads a certificate without its key.
    this.#write("trusted", trusted.map((each) => each.cert).join("\n"));
    this.#write("client", cert);
    this.#write("key", key);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #read(name: string): Buffer {
    return readFileSync(join(this.#directory, `${name}.pem`));
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#directory, `${name}.pem`), text, { mode: 0o600 });
  }
}
