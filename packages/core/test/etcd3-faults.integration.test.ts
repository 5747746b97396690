import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import {
  EtcdProcess,
  eventually,
  FaultProxy,
  fixedRandom,
  leakCheck,
  leaseId,
  oldestAndNewestEtcd,
} from "@sd/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createEtcd3Transport } from "../src/etcd/etcd3/etcd3-transport.js";
import type { Etcd3TransportOptions } from "../src/etcd/etcd3/options.js";
import { failureOf } from "../src/etcd/failure.js";
import type { DuplexStream, EtcdTransport } from "../src/etcd/transport.js";
import type { WatchRequest } from "../src/etcd/types.js";
import { systemClock } from "../src/kit/clock.js";
import { deferred } from "../src/kit/deferred.js";

const key = new TextEncoder().encode("/k");
const REFUSED = "http://127.0.0.1:1";

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function timed<T>(work: Promise<T>): Promise<{ readonly ms: number; readonly outcome: unknown }> {
  const start = performance.now();
  const outcome = await work.catch((error: unknown) => error);
  return { ms: performance.now() - start, outcome };
}

describe.each(oldestAndNewestEtcd())("the etcd3 transport, when a member fails, on $name", ({ binary }) => {
  let bad: EtcdProcess;
  let good: EtcdProcess;
  let proxy: FaultProxy;
  const transports: EtcdTransport[] = [];

  beforeAll(async () => {
    [bad, good] = await Promise.all([EtcdProcess.start({ binary }), EtcdProcess.start({ binary })]);
  });
  afterAll(async () => {
    await Promise.all([bad[Symbol.asyncDispose](), good[Symbol.asyncDispose]()]);
  });
  beforeEach(async () => {
    proxy = await FaultProxy.start({ target: bad.endpoint });
  });
  afterEach(async () => {
    bad.thaw();
    await Promise.all(transports.splice(0).map((transport) => transport.close()));
    await proxy[Symbol.asyncDispose]();
  });

  /** A transport that asks the members in the order given. */
  function connect(
    endpoints: readonly string[],
    options: Partial<Etcd3TransportOptions> = {},
  ): EtcdTransport {
    const transport = createEtcd3Transport({ endpoints, random: fixedRandom(0.5), ...options });
    transports.push(transport);
    return transport;
  }

  async function watch(transport: EtcdTransport, ends: unknown[] = []): Promise<DuplexStream<WatchRequest>> {
    return transport.watch({ onMessage: () => {}, onEnd: (error) => ends.push(error) });
  }

  it("passes over one that refuses the connection", async () => {
    const transport = connect([REFUSED, good.endpoint]);
    await transport.range({ key });
    expect((await watch(transport)).endpoint).toBe(good.endpoint);
  });

  it("takes an idle connection for a stream only where an answer has just come on it (T3)", async () => {
    let lateMs = 0;
    const clock = { ...systemClock, now: () => systemClock.now() + lateMs };
    const transport = connect([proxy.endpoint, good.endpoint], { clock });
    (await watch(transport)).cancel();
    (await watch(transport)).cancel();
    expect(proxy.connections).toBe(1);
    proxy.blackhole("both");
    lateMs = 5_100;
    expect((await watch(transport)).endpoint).toBe(good.endpoint);
  });

  it("goes back at once to one whose connection broke, before those that it never reached (T5)", async () => {
    const deaf = await Promise.all([1, 2, 3, 4].map(() => FaultProxy.start({ target: bad.endpoint })));
    for (const tarpit of deaf) tarpit.tarpit();
    proxy.refuse();
    const transport = connect([...deaf.map(({ endpoint }) => endpoint), proxy.endpoint], {
      connectTimeoutMs: 2_500,
    });
    // None is reached, and each is found to be deaf. Then one is better.
    await timed(transport.range({ key }));
    proxy.pass();
    await eventually(() => transport.range({ key }));
    // Those that failed just now would be passed over by chance.
    await new Promise((resolve) => setTimeout(resolve, 300));
    proxy.reset();
    // A call may still go out on the connection that is breaking.
    const { ms, outcome } = await timed(eventually(() => transport.range({ key })));
    expect(outcome).toHaveProperty("header");
    // Each that were asked before would have a head start of 250 ms.
    expect(ms).toBeLessThan(900);
    await Promise.all(deaf.map((tarpit) => tarpit[Symbol.asyncDispose]()));
  });

  it("opens a stream on another connection when the one that was ready is closed meanwhile", async () => {
    const transport = connect([good.endpoint]);
    for (let steps = 0; steps < 20; steps += 1) {
      // One that has answered: else it would be left alone for a while after it was closed.
      const answered = deferred<unknown>();
      const first = await transport.watch({ onMessage: answered.resolve, onEnd: () => {} });
      first.send({ type: "create", watchId: 0, key, startRevision: 1 });
      await answered.promise;
      const second = watch(transport);
      for (let step = 0; step < steps; step += 1) await Promise.resolve();
      first.cancel({ suspect: true });
      (await second).cancel();
    }
  });

  it("connects no more when it was closed in the turn of its first call", async () => {
    let sockets = 0;
    const count = (): void => {
      sockets += 1;
    };
    subscribe("net.client.socket", count);
    for (let steps = 0; steps < 20; steps += 1) {
      const transport = createEtcd3Transport({ endpoints: REFUSED });
      const call = transport.range({ key }).catch(() => {});
      for (let step = 0; step < steps; step += 1) await Promise.resolve();
      await transport.close();
      await call;
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    const atRest = sockets;
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    unsubscribe("net.client.socket", count);
    expect(sockets).toBe(atRest);
  });

  it("closes what grpc-js opens after a backoff that was under way when it was closed", async () => {
    const port = await freePort();
    const transport = createEtcd3Transport({ endpoints: `127.0.0.1:${port}` });
    await expect(transport.range({ key })).rejects.toMatchObject({ code: "SD_UNAVAILABLE" });
    const late: Socket[] = [];
    const note = (message: unknown): void => void late.push((message as { socket: Socket }).socket);
    subscribe("net.client.socket", note);
    const accepted = new Set<Socket>();
    const server = createServer((socket) => {
      accepted.add(socket.on("error", () => {}).on("close", () => accepted.delete(socket)));
      socket.resume();
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    await transport.close();
    await eventually(() => expect(late).toHaveLength(1));
    unsubscribe("net.client.socket", note);
    await eventually(() => expect([late[0]?.closed, accepted.size]).toEqual([true, 0]), { timeoutMs: 1_000 });
    await new Promise((resolve) => server.close(resolve));
  });

  it("says why, if none can be reached, and does not hammer it", async () => {
    const transport = connect([REFUSED]);
    const errors = await Promise.all(
      Array.from({ length: 100 }, () => transport.range({ key }).catch((error: unknown) => error)),
    );
    for (const error of errors) {
      expect(error).toMatchObject({
        code: "SD_UNAVAILABLE",
        message: expect.stringContaining("ECONNREFUSED"),
      });
      expect(failureOf(error)).toBe("network");
    }
    using leaks = leakCheck();
    proxy.refuse();
    const hammered = connect([proxy.endpoint]);
    const end = performance.now() + 1_000;
    while (performance.now() < end) await hammered.range({ key }).catch(() => {});
    expect(proxy.accepted).toBeLessThan(30);
    await hammered.close();
    await leaks.assertClean();
  });

  it("finds it again within about a second of its return", async () => {
    const transport = connect([proxy.endpoint]);
    proxy.refuse();
    await timed(transport.range({ key }));
    proxy.pass();
    const isBack = () =>
      transport.range({ key }).then(
        () => true,
        () => false,
      );
    await eventually(isBack, { timeoutMs: 1_500 });
  });

  it("gives up one that accepts and stays silent after connectTimeoutMs (T2, F5)", async () => {
    const transport = connect([proxy.endpoint], { connectTimeoutMs: 600 });
    proxy.tarpit();
    const { ms, outcome } = await timed(transport.range({ key }));
    expect(failureOf(outcome)).toBe("timeout");
    expect(ms).toBeGreaterThanOrEqual(590);
    expect(ms).toBeLessThan(2_000);
    await eventually(() => proxy.connections === 0);
  });

  it("tries it anew meanwhile, so that one that wakes up is reached (T2, F5)", async () => {
    const transport = connect([proxy.endpoint], { connectTimeoutMs: 5_000 });
    proxy.tarpit();
    const call = timed(transport.range({ key }));
    await eventually(() => proxy.connections === 1);
    proxy.pass();
    const { ms, outcome } = await call;
    expect(outcome).toHaveProperty("header");
    expect(ms).toBeLessThan(3_000);
    await eventually(() => proxy.connections === 1);
  });

  it("passes over four that accept and stay silent in little more than a second (T2, F5)", async () => {
    const deaf = await Promise.all([1, 2, 3, 4].map(() => FaultProxy.start({ target: bad.endpoint })));
    for (const tarpit of deaf) tarpit.tarpit();
    const transport = connect([...deaf.map(({ endpoint }) => endpoint), good.endpoint]);
    const { ms, outcome } = await timed(transport.range({ key }));
    expect(outcome).toHaveProperty("header");
    expect(ms).toBeLessThan(2_000);
    await eventually(() => deaf.every(({ connections }) => connections === 0));
    // They are asked last now: the stream goes to the good one at once.
    expect((await timed(watch(transport))).ms).toBeLessThan(250);
    expect(deaf.map(({ accepted }) => accepted)).toEqual([1, 1, 1, 1]);
    await Promise.all(deaf.map((tarpit) => tarpit[Symbol.asyncDispose]()));
  });

  it("closes what it began elsewhere, for a call and a stream alike", async () => {
    const transport = connect([proxy.endpoint, good.endpoint]);
    proxy.delay(300);
    const [call, stream] = await Promise.all([timed(transport.range({ key })), timed(watch(transport))]);
    expect(call.outcome).toHaveProperty("header");
    expect(stream.outcome).toHaveProperty("endpoint", good.endpoint);
    await eventually(() => proxy.connections === 0);
  });

  it("fails a call at its timeout if the member is frozen, and asks another next (T1, F4)", async () => {
    const transport = connect([bad.endpoint, good.endpoint]);
    await transport.range({ key });
    await bad.freeze();
    const { ms, outcome } = await timed(transport.range({ key }, { timeoutMs: 400 }));
    expect(failureOf(outcome)).toBe("timeout");
    expect(ms).toBeGreaterThanOrEqual(390);
    expect(ms).toBeLessThan(1_000);
    expect((await timed(transport.range({ key }))).ms).toBeLessThan(250);
    expect((await watch(transport)).endpoint).toBe(good.endpoint);
  });

  it("asks again at once after a first call took too long: the link may be slow, and the next may ask for less", async () => {
    const direct = connect([bad.endpoint]);
    const { id } = await direct.grant({ id: leaseId(77n), ttlSeconds: 60 });
    const value = new Uint8Array(500_000);
    await direct.txn({ compare: [], success: [{ type: "put", key, value, lease: id }], failure: [] });
    proxy.limitBandwidth(100_000);
    const transport = connect([proxy.endpoint]);
    expect(failureOf((await timed(transport.range({ key }, { timeoutMs: 500 }))).outcome)).toBe("timeout");
    const next = await timed(transport.range({ key, countOnly: true }));
    expect(next.outcome).toMatchObject({ count: 1 });
    await direct.revoke(id);
  });

  it("fails a call whose connection is reset, sends it once, and goes elsewhere next", async () => {
    const transport = connect([proxy.endpoint, good.endpoint]);
    await transport.range({ key });
    proxy.blackhole("down");
    const call = timed(transport.range({ key }));
    await eventually(() => proxy.connections === 1);
    proxy.reset();
    expect(failureOf((await call).outcome)).toBe("network");
    await transport.range({ key });
    expect(proxy.accepted).toBe(1);
  });

  it("ends a stream once when its connection is reset, and swallows what is sent then", async () => {
    const transport = connect([proxy.endpoint, good.endpoint]);
    const ends: unknown[] = [];
    const stream = await watch(transport, ends);
    proxy.reset();
    await eventually(() => ends.length === 1);
    expect(failureOf(ends[0])).toBe("network");
    stream.send({ type: "progress" });
    stream.cancel();
    expect((await watch(transport)).endpoint).toBe(good.endpoint);
    expect(ends.length).toBe(1);
  });

  it("leaves a socket alone that a user opens in a handler", async () => {
    const transport = connect([proxy.endpoint]);
    const sockets: Socket[] = [];
    await transport.watch({
      onMessage: () => {},
      onEnd: () => void sockets.push(connectTcp(good.port, "127.0.0.1")),
    });
    proxy.reset();
    await eventually(() => sockets[0]?.readyState === "open");
    await transport.close();
    expect(sockets[0]?.readyState).toBe("open");
    sockets[0]?.destroy();
  });

  it("drops the connection of a suspect and asks it last, for calls too", async () => {
    const transport = connect([proxy.endpoint, good.endpoint]);
    const ends: unknown[] = [];
    await transport.range({ key });
    const stream = await watch(transport, ends);
    expect(stream.endpoint).toBe(proxy.endpoint);
    stream.cancel({ suspect: true });
    await eventually(() => proxy.connections === 1);
    expect((await watch(transport)).endpoint).toBe(good.endpoint);
    const open = proxy.connections;
    await transport.range({ key });
    expect([proxy.connections, proxy.accepted]).toEqual([open, 2]);
    expect(ends).toEqual([]);
  });

  it("survives bytes that come one by one (F35)", async () => {
    proxy.slice();
    const transport = connect([proxy.endpoint]);
    expect((await transport.range({ key })).header.revision).toBeGreaterThan(0);
  });

  it("leaves nothing open when it is closed while connecting, or with a frozen member", async () => {
    using leaks = leakCheck();
    const stuck = connect([proxy.endpoint]);
    proxy.tarpit();
    const call = timed(stuck.range({ key }));
    await eventually(() => proxy.connections === 1);
    const frozen = connect([bad.endpoint]);
    await frozen.range({ key });
    await bad.freeze();
    const pending = timed(frozen.range({ key }));
    await Promise.all([stuck.close(), frozen.close()]);
    for (const { outcome } of await Promise.all([call, pending])) {
      expect(outcome).toMatchObject({ code: "SD_CLOSED" });
    }
    await leaks.assertClean();
  });
});
