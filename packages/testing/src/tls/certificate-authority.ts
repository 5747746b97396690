import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import { invalidArgument, requireOptions } from "@sd/core";
import { requireText } from "../check/arguments.js";
import { subjectCertificate } from "./subject-certificate.js";

/** A certificate and its private key, both in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** From when on it is good. Default: an hour ago. */
  readonly notBefore?: Date;
  /** Until when it is good; a time of the past makes an expired one. Default: a day from now. */
  readonly notAfter?: Date;
}

export interface ServerCertificateOptions extends CertificateOptions {
  /** Host names and IP addresses that it is for. Default `localhost` and `127.0.0.1`. */
  readonly names?: readonly string[];
}

export interface ClientCertificateOptions extends CertificateOptions {
  /** The common name: etcd's user, if etcd authenticates by certificates. */
  readonly user: string;
}

/** The keys of all certificates. */
const KEYS = { name: "ECDSA", namedCurve: "P-256" } as const;

const HOUR_MS = 3_600_000;

/**
 * An authority of its own that signs certificates for tests. Each one made is a stranger to all others.
 *
 * Keys are ECDSA P-256 and live in memory. A certificate takes some milliseconds; the first one 150 more.
 */
export class CertificateAuthority {
  /** Its own certificate, in PEM: what the other side is to trust. */
  readonly cert: string;
  readonly #name: string;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(name: string, keys: webcrypto.CryptoKeyPair, cert: string) {
    this.#name = name;
    this.#keys = keys;
    this.cert = cert;
  }

  /** Makes an authority that is good for a day. */
  static async create(name = "authority for tests"): Promise<CertificateAuthority> {
    requireText("name", name);
    const keys = await newKeys();
    const subject = { name, publicKey: keys.publicKey, names: [], isAuthority: true, ...validity({}) };
    return new CertificateAuthority(name, keys, await subjectCertificate(subject, { name, keys }));
  }

  /** Signs the certificate of a server, which may show it as a client too, as etcd does. */
  async server({
    names = ["localhost", "127.0.0.1"],
    ...options
  }: ServerCertificateOptions = {}): Promise<Certificate> {
    if (!Array.isArray(names)) throw invalidArgument("names", "a list of host names and addresses", names);
    for (const name of names) requireText("each of names", name);
    const [first] = names;
    if (first === undefined) throw new Error("names must hold at least one host name or address, got none");
    return this.#sign(first, names, options);
  }

  /** Signs the certificate of a client. */
  async client(options: ClientCertificateOptions): Promise<Certificate> {
    requireOptions("the options of client()", options);
    const { user } = options;
    requireText("user", user);
    if (user === "") throw new Error("user must not be empty: it is the common name of the certificate");
    return this.#sign(user, [], options);
  }

  async #sign(name: string, names: readonly string[], options: CertificateOptions): Promise<Certificate> {
    const { privateKey, publicKey } = await newKeys();
    const alternatives = names.map((value) => ({ type: isIP(value) ? "ip" : "dns", value }) as const);
    const subject = { name, publicKey, names: alternatives, isAuthority: false, ...validity(options) };
    const cert = await subjectCertificate(subject, { name: this.#name, keys: this.#keys });
    return { cert, key: await pem(privateKey) };
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEYS, true, ["sign", "verify"]);
}

function validity({ notBefore, notAfter }: CertificateOptions): Required<CertificateOptions> {
  for (const [name, date] of Object.entries({ notBefore, notAfter })) {
    const isGood = date === undefined || (date instanceof Date && !Number.isNaN(date.getTime()));
    if (!isGood) throw invalidArgument(name, "a valid Date", String(date));
  }
  const until = notAfter ?? new Date(Date.now() + 24 * HOUR_MS);
  const from = notBefore ?? new Date(Math.min(Date.now(), until.getTime()) - HOUR_MS);
  if (!(from < until)) {
    throw new Error(`notAfter must be later than notBefore, got ${String(until)} and ${String(from)}`);
  }
  return { notBefore: from, notAfter: until };
}

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  const base64 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}
