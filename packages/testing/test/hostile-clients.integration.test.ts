import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  eventually,
  FaultProxy,
  MemoryEtcd,
  SeededRandom,
  serveMemoryEtcd,
  startNode,
} from "../src/index.js";
import { hostOf } from "../src/memory/memory-etcd.js";
import { NO_END, put, range, watch } from "../src/memory/requests.fixture.js";
import { methods, RawClient } from "./raw-client.js";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const everything = watch({ key: "/", rangeEnd: NO_END });

describe("the gRPC door of MemoryEtcd", () => {
  let memory: MemoryEtcd;
  let port: number;
  let endpoint: string;
  let raw: RawClient;

  async function begin(options: ConstructorParameters<typeof MemoryEtcd>[0] = {}): Promise<void> {
    memory = new MemoryEtcd({ catchUpDelayMs: 5, ...options });
    ({ port, endpoint } = await serveMemoryEtcd(memory));
    raw = new RawClient(endpoint);
  }
  async function end(): Promise<void> {
    raw.close();
    await memory.close();
  }
  beforeEach(() => begin());
  afterEach(end);

  /** Somebody else is served as if nothing had happened. */
  async function isWell(): Promise<void> {
    const { header } = await raw.call(methods.KV.put, put("/well"));
    expect(await raw.call(methods.KV.range, range({ key: "/well" }))).toMatchObject({
      kvs: [{ modRevision: header.revision }],
    });
  }

  /** Sends bytes on a connection of its own; resolves when the server has closed it, or after a while. */
  function send(...parts: Uint8Array[]): Promise<void> {
    return new Promise((resolve) => {
      const socket: Socket = connect(port, "127.0.0.1");
      const done = (): void => {
        socket.destroy();
        resolve();
      };
      socket
        .on("error", done)
        .on("close", done)
        .on("data", () => {});
      for (const part of parts) socket.write(part);
      setTimeout(done, 40);
    });
  }

  it("outlives what is no HTTP/2, and frames that make no sense", async () => {
    const random = new SeededRandom(7);
    const noise = (length: number) =>
      Buffer.from(Array.from({ length }, () => Math.floor(random.next() * 256)));
    await send(Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    await send(PREFACE.subarray(0, 10));
    for (let length = 1; length < 600; length += 20) {
      await Promise.all([
        send(noise(length)),
        send(PREFACE, noise(length)),
        send(PREFACE, EMPTY_SETTINGS, noise(length)),
      ]);
    }
    // A frame of each type that is known, on a stream that was never opened.
    for (let type = 0; type < 12; type += 1) {
      await send(PREFACE, EMPTY_SETTINGS, Buffer.from([0, 0, 4, type, 0xff, 0, 0, 0, 9, 1, 2, 3, 4]));
    }
    await isWell();
  });

  it("refuses bodies that are no messages", async () => {
    const session = connectHttp2(endpoint);
    const ask = (path: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<string> =>
      new Promise((resolve) => {
        const head = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
        const stream = session.request({ ...head, ...headers });
        const done = (answer: unknown): void => resolve(String(answer));
        stream.on("response", (found) => found["grpc-status"] && done(found["grpc-status"]));
        stream.on("trailers", (found) => done(found["grpc-status"]));
        stream
          .on("error", () => done("broken"))
          .on("close", () => done("closed"))
          .resume();
        stream.end(body);
      });
    const path = "/etcdserverpb.KV/Put";
    const framed = (body: readonly number[]) => Buffer.from([0, 0, 0, 0, body.length, ...body]);
    // A field of 127 bytes that has one; the number 0 for a field; a varint without end; more ends than begins.
    const broken = [[10, 127, 1], [0, 1], Array(20).fill(0xff), [12], [11, 10]];
    for (const body of broken) expect(await ask(path, framed(body as number[])), String(body)).toBe("13");
    expect(await ask(path, Buffer.from([0, 0, 0]))).not.toBe("0");
    // Says that 4 GiB follow.
    expect(await ask(path, Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]))).toBe("8");
    // Says that it is compressed.
    expect(await ask(path, Buffer.from([1, 0, 0, 0, 1, 1]), { "grpc-encoding": "gzip" })).not.toBe("0");
    expect(await ask(path, Buffer.from([1, 0, 0, 0, 1, 1]))).not.toBe("0");
    expect(await ask("/nobody/is/here", framed([]))).toBe("12");
    await ask(path, framed([]), { "content-type": "text/html" });
    session.close();
    await isWell();
  });

  it("ends a stream that says what is no message, and no other", async () => {
    const well = raw.open(methods.Watch.watch);
    well.send({ create: everything });
    const encoded = { ...methods.Watch.watch, requestSerialize: () => Buffer.from([10, 127, 1]) };
    const bad = raw.open(encoded);
    bad.send({});
    await eventually(() => expect(bad.end).toMatchObject({ code: 13 }));
    memory.put("/a", "1");
    await eventually(() => expect(well.messages).toHaveLength(2));
    expect(memory.openStreams).toBe(1);
  });

  it("serves 2,000 streams of one client, and forgets them when it is killed", async () => {
    const program = new URL("./open-watches.mjs", import.meta.url).pathname;
    const client = startNode(program, [endpoint, "2000"]);
    await client.waitForLine("open", { timeoutMs: 20_000 });
    expect(memory.openStreams).toBe(2_000);
    await raw.call(methods.KV.put, put("a"));
    client.signal("SIGKILL");
    await client.exited;
    await eventually(() => expect(memory.openStreams).toBe(0), { timeoutMs: 10_000 });
    await isWell();
  });

  it("forgets a client that vanished without a word", async () => {
    const impatient = await serveMemoryEtcd(memory, { keepaliveMs: 300 });
    await using proxy = await FaultProxy.start({ target: impatient.endpoint });
    const client = new RawClient(proxy.endpoint);
    client.open(methods.Watch.watch).send({ create: everything });
    await eventually(() => expect(memory.openStreams).toBe(1));
    proxy.blackhole("both");
    await eventually(() => expect(memory.openStreams).toBe(0), { timeoutMs: 5_000 });
    client.close();
  });

  /** A watch whose client does not read, while `count` events of 1 KiB come. */
  async function deafened(count: number) {
    const stream = raw.open(methods.Watch.watch);
    stream.send({ create: everything });
    await eventually(() => expect(stream.messages).toHaveLength(1));
    stream.pause();
    const value = new Uint8Array(1_024);
    for (let index = 0; index < count; index += 1) {
      memory.put(`/${index % 100}`, value);
      // The sockets want their turn.
      if (index % 1_000 === 0) await new Promise(setImmediate);
    }
    return stream;
  }

  it("keeps little for a watcher that does not read, and tells it all later", async () => {
    const stream = await deafened(100_000);
    stream.resume();
    const revisions = () => stream.messages.flatMap(({ events }) => events.map(({ kv }) => kv.modRevision));
    await eventually(() => expect(stream.messages.at(-1)?.events.at(-1)?.kv.modRevision).toBe(100_001), {
      timeoutMs: 40_000,
    });
    expect(revisions()).toEqual(Array.from({ length: 100_000 }, (_, index) => index + 2));
    // What was left when it stopped to read; the rest came in batches, as to any watch that is behind.
    const largest = Math.max(...stream.messages.map(({ events }) => events.length));
    expect(largest).toBe(1_000);
  });

  it("cancels a watcher that does not read when what it missed is compacted, as etcd does", async () => {
    await end();
    await begin({ retainedChanges: 5_000 });
    const stream = await deafened(50_000);
    stream.resume();
    await eventually(() => expect(stream.messages.at(-1)?.canceled).toBe(true), { timeoutMs: 10_000 });
    expect(stream.messages.at(-1)?.compactRevision).toBeGreaterThan(40_000);
    expect(stream.messages.length).toBeLessThan(10_000);
    expect(memory.events.length).toBeLessThan(10_001);
    await isWell();
  });

  it("reads no more renewals than it can answer", async () => {
    await raw.call(methods.Lease.grant, { id: 7n, ttl: 60 });
    const { server } = hostOf(memory);
    let renewals = 0;
    const renew = server.renew.bind(server);
    server.renew = (request) => {
      renewals += 1;
      return renew(request);
    };
    const stream = raw.open(methods.Lease.keepAlive);
    stream.send({ id: 7n });
    await eventually(() => expect(stream.messages).toHaveLength(1));
    stream.pause();
    for (let index = 0; index < 10_000; index += 1) stream.send({ id: 7n });
    await eventually(() => expect(renewals).toBeGreaterThan(1_000), { timeoutMs: 20_000 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    // A window full of answers, a thousand that wait, and what Node had read already.
    expect(renewals).toBeLessThan(5_000);
    await isWell();
    stream.resume();
    await eventually(() => expect(stream.messages).toHaveLength(10_001), { timeoutMs: 30_000 });
  });
});
