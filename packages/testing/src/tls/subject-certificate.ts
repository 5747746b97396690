import { webcrypto } from "node:crypto";

/** Whom a certificate is about. */
export interface Subject {
  /** The common name. */
  readonly name: string;
  readonly publicKey: webcrypto.CryptoKey;
  /** The alternative names. */
  readonly names: readonly { readonly type: "dns" | "ip"; readonly value: string }[];
  readonly isAuthority: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Who signs it. */
export interface Issuer {
  readonly name: string;
  readonly keys: webcrypto.CryptoKeyPair;
}

/** Makes the X.509 certificate of a subject, in PEM. */
export async function subjectCertificate(subject: Subject, issuer: Issuer): Promise<string> {
  // Loaded when first needed: together they take longer than the start of an etcd in memory.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const { name, publicKey, names, isAuthority, notBefore, notAfter } = subject;
  const usage = isAuthority
    ? x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign
    : x509.KeyUsageFlags.digitalSignature;
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const extensions = [
    new x509.BasicConstraintsExtension(isAuthority, undefined, true),
    new x509.KeyUsagesExtension(usage, true),
    await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto),
    await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey, false, webcrypto),
    ...(isAuthority ? [] : [new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth])]),
    ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension([...names])] : []),
  ];
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: [{ CN: [name] }],
      issuer: [{ CN: [issuer.name] }],
      notBefore,
      notAfter,
      publicKey,
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
      extensions,
    },
    webcrypto,
  );
  return `${certificate.toString("pem")}\n`;
}
