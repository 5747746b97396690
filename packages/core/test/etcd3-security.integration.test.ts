import {
  type Certificate,
  CertificateAuthority,
  EtcdProcess,
  eventually,
  oldestAndNewestEtcd,
} from "@sd/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient } from "../src/client.js";
import { createEtcd3Transport } from "../src/etcd/etcd3/etcd3-transport.js";
import type { Etcd3Credentials, Etcd3TransportOptions } from "../src/etcd/etcd3/options.js";
import { failureOf } from "../src/etcd/failure.js";
import type { EtcdTransport } from "../src/etcd/transport.js";

import { prefixRange } from "../src/watch/key-range.js";
import { Reflector } from "../src/watch/reflector.js";
import type { Store } from "../src/watch/store.js";

const key = new TextEncoder().encode("/k");
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.each(oldestAndNewestEtcd())(
  "the etcd3 transport, with etcd's authentication, on $name",
  ({ binary }) => {
    /** etcd counts in whole seconds and looks once in each: after five, a token of three is gone for sure. */
    const EXPIRY_MS = 5_200;
    let etcd: EtcdProcess;
    let transport: EtcdTransport;

    beforeAll(async () => {
      etcd = await EtcdProcess.start({ binary, args: ["--auth-token-ttl=3"] });
      const auth = { username: "root", password: "s3cret" };
      transport = createEtcd3Transport({ endpoints: etcd.endpoint, auth });
    });
    afterAll(async () => {
      await transport.close();
      await etcd[Symbol.asyncDispose]();
    });

    it("goes on without a token while it is off, and authenticates once it is on (R18, F51)", async () => {
      await transport.range({ key });
      await etcd.enableAuth({ users: { root: { password: "s3cret" } } });
      await transport.range({ key });
    });

    it("refuses whoever has no or wrong credentials, as an operator's case", async () => {
      const auth = { username: "root", password: "wr0ng" };
      for (const options of [{}, { auth }]) {
        const other = createEtcd3Transport({ endpoints: etcd.endpoint, ...options });
        const error = await other.range({ key }).catch((reason: unknown) => reason);
        await other.close();
        expect(error).toMatchObject({ code: "SD_PERMISSION" });
        expect(failureOf(error)).toBe("auth");
        expect(String((error as Error).stack)).not.toContain("wr0ng");
      }
    });

    it("replaces an expired token behind the back of its callers (F50)", async () => {
      await transport.range({ key });
      await pause(EXPIRY_MS);
      const answers = await Promise.all(Array.from({ length: 50 }, () => transport.range({ key })));
      expect(answers).toHaveLength(50);
    });

    it("serves a further watch although the token of the open stream has expired (R18)", async () => {
      const auth = { username: "root", password: "s3cret" };
      await using client = createClient({ endpoints: etcd.endpoint, auth });
      const store: Store = {
        size: 0,
        revisionOf: () => undefined,
        replace() {},
        apply: () => true,
        bookmark() {},
      };
      const reflect = (prefix: string) =>
        new Reflector(client, { range: prefixRange(Buffer.from(prefix)), store });
      await using first = reflect("/one/");
      await eventually(() => first.state.status === "live");
      await pause(EXPIRY_MS);
      await using second = reflect("/two/");
      await eventually(() => second.state.status === "live" && first.state.status === "live");
    });
  },
);

describe.each(oldestAndNewestEtcd())("the etcd3 transport, with TLS, on $name", ({ binary }) => {
  let authority: CertificateAuthority;
  let stranger: CertificateAuthority;
  let client: Certificate;
  let etcd: EtcdProcess;

  beforeAll(async () => {
    [authority, stranger] = await Promise.all([CertificateAuthority.create(), CertificateAuthority.create()]);
    client = await authority.client({ user: "web" });
    etcd = await EtcdProcess.start({ binary, tls: { authority, clientCertificates: true } });
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  const credentials = (
    { cert }: CertificateAuthority,
    { key, cert: chain }: Partial<Certificate> = client,
  ): Etcd3Credentials => ({
    rootCertificate: Buffer.from(cert),
    privateKey: key === undefined ? undefined : Buffer.from(key),
    certChain: chain === undefined ? undefined : Buffer.from(chain),
  });

  async function outcome(options: Partial<Etcd3TransportOptions>): Promise<unknown> {
    const transport = createEtcd3Transport({ endpoints: `https://localhost:${etcd.port}`, ...options });
    try {
      return await transport.range({ key });
    } catch (error) {
      return failureOf(error);
    } finally {
      await transport.close();
    }
  }

  it("calls a member whose certificate is good", async () => {
    const good = credentials(authority);
    expect(await outcome({ credentials: good })).toMatchObject({ kvs: [] });
    expect(await outcome({ credentials: good, endpoints: `localhost:${etcd.port}` })).toMatchObject({
      kvs: [],
    });
    expect(await outcome({ credentials: good, endpoints: etcd.endpoint })).toMatchObject({ kvs: [] });
  });

  it("calls a failed handshake by its name, whoever refuses whom (T8, F54)", async () => {
    const notAfter = new Date(Date.now() - 1_000);
    expect(await outcome({})).toBe("tls");
    expect(await outcome({ credentials: credentials(stranger) })).toBe("tls");
    expect(await outcome({ credentials: credentials(authority, {}) })).toBe("tls");
    const expired = await authority.client({ user: "web", notAfter });
    expect(await outcome({ credentials: credentials(authority, expired) })).toBe("tls");
    const foreign = await stranger.client({ user: "web" });
    expect(await outcome({ credentials: credentials(authority, foreign) })).toBe("tls");
    await etcd.useCertificate(await authority.server({ notAfter }));
    expect(await outcome({ credentials: credentials(authority) })).toBe("tls");
    await etcd.useCertificate(await authority.server({ names: ["etcd.test"] }));
    expect(await outcome({ credentials: credentials(authority) })).toBe("tls");
    await etcd.useCertificate(await authority.server());
    expect(await outcome({ credentials: credentials(authority) })).toMatchObject({ kvs: [] });
  });

  it("is the user that its certificate names, while authentication is on", async () => {
    await etcd.enableAuth({
      users: { root: {}, web: { permissions: [{ key: "/k", access: "read" }] } },
    });
    expect(await outcome({ credentials: credentials(authority) })).toMatchObject({ kvs: [] });
    const nobody = await authority.client({ user: "idle" });
    expect(await outcome({ credentials: credentials(authority, nobody) })).toBe("permission");
    await etcd.disableAuth();
  });

  it("reads the certificates for each new connection (T9, F53)", async () => {
    let trusted: CertificateAuthority | undefined = stranger;
    const transport = createEtcd3Transport({
      endpoints: etcd.endpoint,
      credentials: () => {
        if (!trusted) throw new Error("no such file");
        return credentials(trusted);
      },
    });
    const isAnswered = () =>
      transport.range({ key }).then(
        () => true,
        () => false,
      );
    expect(await isAnswered()).toBe(false);
    trusted = authority;
    await eventually(isAnswered, { timeoutMs: 2_000 });
    trusted = undefined;
    const stream = transport.watch({ onMessage: () => {}, onEnd: () => {} });
    expect(failureOf(await stream.catch((error: unknown) => error))).toBe("tls");
    await transport.close();
  });
});
