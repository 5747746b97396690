import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { CertificateAuthority, EtcdProcess, etcdBinaries, FaultProxy } from "@sd/testing";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createEtcd3Transport, type Etcd3TransportOptions } from "../src/etcd/etcd3/etcd3-transport.js";
import { failureOf } from "../src/etcd/failure.js";

const key = new TextEncoder().encode("/k");

async function outcome(options: Etcd3TransportOptions): Promise<unknown> {
  const transport = createEtcd3Transport(options);
  try {
    return await transport.range({ key });
  } catch (error) {
    return failureOf(error);
  } finally {
    await transport.close();
  }
}

/** Listens on a port, and keeps what it is told on each connection. */
async function listen(answer: (socket: Socket) => void): Promise<{ port: number; heard: Buffer[] }> {
  const heard: Buffer[] = [];
  const server = createServer((socket) => {
    const index = heard.push(Buffer.alloc(0)) - 1;
    socket.on("data", (chunk) => {
      heard[index] = Buffer.concat([heard[index] as Buffer, chunk]);
      answer(socket);
    });
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, heard };
}

describe("the etcd3 transport, with https", () => {
  const TLS_HANDSHAKE = 0x16;
  /** What an HTTP/2 server without TLS begins with: empty SETTINGS. */
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

  it.each<[string, (socket: Socket) => void]>([
    ["answers by HTTP/2 without TLS", (socket) => socket.write(settings)],
    ["answers by HTTP/1", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["hangs up", (socket) => socket.destroy()],
  ])("never falls back to plain text before one who %s", async (_what, answer) => {
    const { port, heard } = await listen(answer);
    const auth = { username: "root", password: "s3cret" };
    const transport = createEtcd3Transport({ endpoints: `https://127.0.0.1:${port}`, auth });
    onTestFinished(() => transport.close());
    // Often: whoever gives in does so after a failure.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      expect(failureOf(await transport.range({ key }).catch((error: unknown) => error))).toMatch(
        /tls|network/,
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    // One that was given up before it could speak has said nothing.
    const said = heard.filter(({ length }) => length > 0);
    expect(said.length).toBeGreaterThan(1);
    for (const bytes of said) {
      expect(bytes[0]).toBe(TLS_HANDSHAKE);
      expect(bytes.includes("s3cret")).toBe(false);
      expect(bytes.includes("PRI * HTTP/2.0")).toBe(false);
    }
  });
});

describe.each(etcdBinaries().slice(-1))("the etcd3 transport, with TLS to $name", ({ binary }) => {
  afterEach(() => void vi.unstubAllEnvs());

  it("checks certificates and names though NODE_TLS_REJECT_UNAUTHORIZED says not to", async () => {
    const [authority, stranger] = await Promise.all([
      CertificateAuthority.create(),
      CertificateAuthority.create(),
    ]);
    await using etcd = await EtcdProcess.start({ binary, tls: { authority } });
    const trusting = ({ cert }: CertificateAuthority) => ({
      endpoints: etcd.endpoint,
      credentials: { rootCertificate: Buffer.from(cert) },
    });
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    expect(await outcome(trusting(authority))).toMatchObject({ kvs: [] });
    expect(await outcome({ endpoints: etcd.endpoint })).toBe("tls");
    expect(await outcome(trusting(stranger))).toBe("tls");
    // The name is right, and the way so long that three round trips take longer than connecting may.
    await using far = await FaultProxy.start({ target: etcd.endpoint });
    far.delay(600);
    const start = performance.now();
    const patient = { ...trusting(authority), endpoints: far.endpoint, connectTimeoutMs: 2_000 };
    expect(await outcome(patient)).toMatchObject({ kvs: [] });
    expect(performance.now() - start).toBeGreaterThan(2_300);
    await etcd.useCertificate(await authority.server({ names: ["etcd.test"] }));
    expect(await outcome(trusting(authority))).toBe("tls");
    await etcd.useCertificate(await authority.server({ notAfter: new Date(Date.now() - 1_000) }));
    expect(await outcome(trusting(authority))).toBe("tls");
  });
});
