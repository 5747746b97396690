import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import { describe, expect, it } from "vitest";
import { type Certificate, CertificateAuthority } from "./certificate-authority.js";

describe("CertificateAuthority", () => {
  it("signs P-256 certificates with the names they are for", async () => {
    const authority = await CertificateAuthority.create("a, b=c");
    const own = new X509Certificate(authority.cert);
    const { cert, key } = await authority.server({ names: ["etcd.test", "10.0.0.1", "::1"] });
    const server = new X509Certificate(cert);
    expect([own.ca, server.ca]).toEqual([true, false]);
    expect(server.verify(own.publicKey)).toBe(true);
    expect(server.checkIssued(own)).toBe(true);
    expect(server.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(createPrivateKey(key).asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect(server.checkHost("etcd.test")).toBe("etcd.test");
    expect(server.checkIP("10.0.0.1")).toBe("10.0.0.1");
    expect(server.checkHost("localhost")).toBe(undefined);
  });

  it("keeps a user's name as it is, whatever it holds", async () => {
    const authority = await CertificateAuthority.create();
    const { cert } = await authority.client({ user: "a, O=b" });
    expect(new X509Certificate(cert).toLegacyObject().subject).toEqual({ CN: "a, O=b" });
  });

  it("gives each certificate a serial number of its own, and the validity that it is told", async () => {
    const authority = await CertificateAuthority.create();
    const notAfter = new Date("2001-02-03T04:05:06Z");
    const expired = new X509Certificate((await authority.server({ notAfter })).cert);
    const good = new X509Certificate((await authority.server()).cert);
    expect(new Date(expired.validTo)).toEqual(notAfter);
    expect(new Date(expired.validFrom).getTime()).toBe(notAfter.getTime() - 3_600_000);
    expect(Math.abs(Date.parse(good.validTo) - Date.now() - 86_400_000)).toBeLessThan(10_000);
    expect(good.serialNumber).not.toBe(expired.serialNumber);
  });

  it("refuses what no certificate can say", async () => {
    const authority = await CertificateAuthority.create();
    const [notBefore, notAfter] = [new Date(2_000), new Date(1_000)];
    await expect(authority.client({ user: "a", notBefore, notAfter })).rejects.toThrow(
      "notAfter must be later",
    );
    await expect(authority.server({ notAfter: new Date(Number.NaN) })).rejects.toThrow("Invalid Date");
    await expect(authority.server({ names: [] })).rejects.toThrow("at least one host name");
    await expect(authority.client({ user: "" })).rejects.toThrow("user must not be empty");
  });

  it("is believed in a TLS handshake by those who trust it, and by nobody else", async () => {
    const [authority, stranger] = await Promise.all([
      CertificateAuthority.create(),
      CertificateAuthority.create(),
    ]);
    const server = createServer({ ...(await authority.server()), ca: authority.cert, requestCert: true });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    server.on("secureConnection", (socket: TLSSocket) => {
      socket.on("error", () => {});
      socket.end(String(socket.getPeerCertificate().subject?.CN));
    });
    const greeting = async (ca: string, client?: Certificate): Promise<string> => {
      const socket = connect({ host: "127.0.0.1", port, ca, ...client });
      let said = "";
      socket.on("data", (chunk) => {
        said += String(chunk);
      });
      await once(socket, "end");
      return said;
    };
    try {
      expect(await greeting(authority.cert, await authority.client({ user: "web" }))).toBe("web");
      await expect(greeting(stranger.cert)).rejects.toThrow(/self-signed certificate|unable to verify/);
      const notAfter = new Date(Date.now() - 1_000);
      server.setSecureContext({ ...(await authority.server({ notAfter })) });
      await expect(greeting(authority.cert)).rejects.toThrow("certificate has expired");
    } finally {
      server.close();
    }
  });
});
