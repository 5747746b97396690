import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import { EtcdProcess, etcdBinaries, eventually } from "@sd/testing";
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

describe.each(etcdBinaries())("the etcd3 transport, with etcd's authentication, on $name", ({ binary }) => {
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
    await etcd.ctl("user", "add", "root:s3cret");
    await etcd.ctl("user", "grant-role", "root", "root");
    await etcd.ctl("auth", "enable");
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
});

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

// Skipped where there is no openssl to make certificates with; every Linux and macOS that we know has it.
describe.skipIf(!hasOpenssl())("the etcd3 transport, with TLS", () => {
  let directory: string;
  let etcd: EtcdProcess;
  let server: Server;
  let port: number;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "sd-tls-"));
    certify("ca");
    certify("stranger");
    certify("server", "ca");
    certify("client", "ca");
    etcd = await EtcdProcess.start();
    // TLS ends here: the etcd behind it speaks plainly.
    const options = { ca: file("ca.pem"), cert: file("server.pem"), key: file("server.key") };
    server = createServer({ ...options, requestCert: true, ALPNProtocols: ["h2"] }, (client) => {
      const member = connectTcp(etcd.port, "127.0.0.1");
      for (const [from, to] of [
        [client, member],
        [member, client],
      ] as const) {
        from.on("error", () => {}).on("close", () => to.destroy());
        from.pipe(to);
      }
    });
    await once(server.listen(0, "localhost"), "listening");
    port = (server.address() as AddressInfo).port;
  });
  afterAll(async () => {
    server.close();
    await etcd[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const file = (name: string): Buffer => readFileSync(join(directory, name));

  /** Makes `<name>.key` and `<name>.pem`, signed by `issuer` or by itself. */
  function certify(name: string, issuer?: string): void {
    const openssl = (...args: string[]): void =>
      void execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
    writeFileSync(join(directory, "names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    const fresh = ["-newkey", "rsa:2048", "-nodes", "-keyout", `${name}.key`, "-subj", `/CN=${name}`];
    if (issuer === undefined) {
      openssl("req", "-x509", ...fresh, "-out", `${name}.pem`, "-days", "2");
      return;
    }
    openssl("req", ...fresh, "-out", `${name}.csr`);
    const by = ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`, "-CAcreateserial"];
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      ...by,
      "-out",
      `${name}.pem`,
      "-days",
      "2",
      "-extfile",
      "names",
    );
  }

  async function outcome(options: Partial<Etcd3TransportOptions>): Promise<unknown> {
    const transport = createEtcd3Transport({ endpoints: `https://localhost:${port}`, ...options });
    try {
      return await transport.range({ key });
    } catch (error) {
      return failureOf(error);
    } finally {
      await transport.close();
    }
  }

  const own = (): Etcd3Credentials => ({
    rootCertificate: file("ca.pem"),
    privateKey: file("client.key"),
    certChain: file("client.pem"),
  });

  it("calls a member whose certificate is good", async () => {
    expect(await outcome({ credentials: own() })).toMatchObject({ kvs: [] });
    expect(await outcome({ credentials: own(), endpoints: `localhost:${port}` })).toMatchObject({ kvs: [] });
  });

  it("calls a failed handshake by its name (T8)", async () => {
    expect(await outcome({ credentials: { rootCertificate: file("stranger.pem") } })).toBe("tls");
    expect(await outcome({})).toBe("tls");
    expect(await outcome({ credentials: { rootCertificate: file("ca.pem") } })).toBe("tls");
  });

  it("reads the certificates for each new connection (T9, F53)", async () => {
    let name = "stranger.pem";
    const credentials = (): Etcd3Credentials => ({ ...own(), rootCertificate: file(name) });
    const transport = createEtcd3Transport({ endpoints: `https://localhost:${port}`, credentials });
    const isAnswered = () =>
      transport.range({ key }).then(
        () => true,
        () => false,
      );
    expect(await isAnswered()).toBe(false);
    name = "ca.pem";
    await eventually(isAnswered, { timeoutMs: 2_000 });
    name = "missing.pem";
    const stream = transport.watch({ onMessage: () => {}, onEnd: () => {} });
    expect(failureOf(await stream.catch((error: unknown) => error))).toBe("tls");
    await transport.close();
  });
});
