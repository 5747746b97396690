import { createClient } from "@sd/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CertificateAuthority, EtcdProcess, etcdBinaries } from "../src/index.js";
import { readOnce } from "./etcd-client.js";

const past = () => new Date(Date.now() - 1_000);

describe.each(etcdBinaries())("$name with TLS", ({ binary }) => {
  let authority: CertificateAuthority;
  let etcd: EtcdProcess;

  beforeAll(async () => {
    authority = await CertificateAuthority.create();
    etcd = await EtcdProcess.start({ binary, tls: { authority } });
    await etcd.ctl("put", "/a", "1");
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  it("answers whoever trusts its authority, by address and by name", async () => {
    expect(etcd.endpoint).toBe(`https://127.0.0.1:${etcd.port}`);
    expect(await readOnce(etcd, "/a", { ca: authority.cert })).toBe("1");
    expect(
      await readOnce(etcd, "/a", { ca: authority.cert, endpoint: `https://localhost:${etcd.port}` }),
    ).toBe("1");
  });

  it("is refused by whoever trusts another authority, or none of ours", async () => {
    const stranger = await CertificateAuthority.create();
    expect(await readOnce(etcd, "/a", { ca: stranger.cert })).toMatch(/^tls: /);
    expect(await readOnce(etcd, "/a")).toMatch(/^tls: /);
  });

  it("refuses whoever speaks plainly", async () => {
    const endpoint = `http://127.0.0.1:${etcd.port}`;
    expect(await readOnce(etcd, "/a", { endpoint })).toMatch(/^network: /);
    expect(await readOnce(etcd, "/a", { ca: authority.cert })).toBe("1");
  });

  it("shows another certificate from the next handshake on, and keeps open connections", async () => {
    const credentials = { rootCertificate: Buffer.from(authority.cert) };
    await using client = createClient({ endpoints: etcd.endpoint, credentials });
    const read = () => client.transport.range({ key: Buffer.from("/a") });
    await read();
    await etcd.useCertificate(await authority.server({ notAfter: past() }));
    expect(await readOnce(etcd, "/a", { ca: authority.cert })).toMatch(/^tls: .*expired/);
    expect((await read()).kvs).toHaveLength(1);
    await etcd.restart();
    expect(await readOnce(etcd, "/a", { ca: authority.cert })).toMatch(/^tls: .*expired/);
    await etcd.useCertificate(await authority.server({ names: ["localhost"] }));
    expect(await readOnce(etcd, "/a", { ca: authority.cert })).toMatch(/^tls: /);
    await etcd.useCertificate(await authority.server());
    expect(await readOnce(etcd, "/a", { ca: authority.cert })).toBe("1");
  });

  it("has no certificate to replace without TLS", async () => {
    await using plain = await EtcdProcess.start({ binary });
    await expect(plain.useCertificate(await authority.server())).rejects.toThrow("no TLS");
  });
});

describe.each(etcdBinaries())("$name with client certificates", ({ binary }) => {
  let authority: CertificateAuthority;
  let etcd: EtcdProcess;

  beforeAll(async () => {
    authority = await CertificateAuthority.create();
    etcd = await EtcdProcess.start({ binary, tls: { authority, clientCertificates: true } });
    await etcd.ctl("put", "/web/a", "1");
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  const read = async (key: string, user: string, from = authority, notAfter?: Date): Promise<string> => {
    const certificate = await from.client({ user, ...(notAfter && { notAfter }) });
    return readOnce(etcd, key, { ca: authority.cert, certificate });
  };

  it("refuses whoever has none, an expired one, or one of another authority", async () => {
    expect(await readOnce(etcd, "/web/a", { ca: authority.cert })).toMatch(/^tls: /);
    expect(await read("/web/a", "web", await CertificateAuthority.create())).toMatch(/^tls: /);
    expect(await read("/web/a", "web", authority, past())).toMatch(/^tls: /);
    expect(await read("/web/a", "web")).toBe("1");
  });

  it("takes the common name for the user while authentication is on", async () => {
    const web = { permissions: [{ prefix: "/web/", access: "read" }] } as const;
    await etcd.enableAuth({ users: { root: {}, web } });
    expect(await read("/web/a", "web")).toBe("1");
    expect(await read("/db/a", "web")).toContain("permission denied");
    expect(await read("/web/a", "nobody")).toMatch(/permission denied|invalid/);
    await etcd.ctl("put", "/web/a", "2");
    await etcd.restart();
    expect(await read("/web/a", "web")).toBe("2");
    await etcd.disableAuth();
    expect(await read("/db/a", "nobody")).toBe("");
  });

  it("trusts another authority from its next start on, and so does ctl()", async () => {
    await using own = await EtcdProcess.start({ binary, tls: { authority, clientCertificates: true } });
    const next = await CertificateAuthority.create("next");
    const ask = async (from: CertificateAuthority): Promise<string> =>
      readOnce(own, "/a", { ca: authority.cert + next.cert, certificate: await from.client({ user: "a" }) });
    await own.ctl("put", "/a", "1");
    await own.trust([authority, next]);
    expect(await ask(next)).toMatch(/^tls: /);
    await own.restart();
    expect([await ask(authority), await ask(next)]).toEqual(["1", "1"]);
    await own.useCertificate(await next.server());
    await own.trust([next]);
    await own.restart();
    expect([await ask(authority), await ask(next)]).toEqual([expect.stringMatching(/^tls: /), "1"]);
    expect(await own.ctl("get", "/a", "--print-value-only")).toBe("1\n");
  });

  it("has nobody to trust without TLS", async () => {
    await using plain = await EtcdProcess.start({ binary });
    await expect(plain.trust([authority])).rejects.toThrow("no TLS");
  });
});
