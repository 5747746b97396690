import { promises as dns, type LookupAddress } from "node:dns";
import { type AddressInfo, connect, createServer } from "node:net";
import { createClient, type EtcdTransport } from "@sd/core";
import { startDiscovery } from "@sd/discover";
import { startRegistration } from "@sd/register";
import {
  eventually,
  FaultProxy,
  leakCheck,
  overrideTransport,
  recordChanges,
  recordStates,
  startEtcd,
} from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, describe, expect, it, vi } from "vitest";
import { fill, leaseTime, newest, Pair, pause } from "./pair.js";

const leaks = leakCheck();
afterAll(() => leaks.assertClean({ withinMs: 3_000 }));

const portOf = ({ endpoint }: { readonly endpoint: string }): number => Number(new URL(endpoint).port);
const back = { withinMs: 12_000 };

/**
 * From a hole to another watch stream: 2.5 s of quiet, 3 s for the answer to the question (both exact in the unit
 * tests of the hub), up to 0.5 s of pause, and up to 1 s of head start for the member that it was on.
 */
const WATCH_MS = 2_500 + 3_000 + 500 + 1_000;
/** Each of these may be late: the four timers, and the TCP connection, its settings and the stream. */
const WATCH_STEPS = 7;
const READ_EVERY_MS = 20;

/** What the slowest of many reads takes while `work` goes on: so late is one step, ours and etcd's, on this machine. */
async function slowestWhile(work: Promise<unknown>, read: () => Promise<unknown>): Promise<number> {
  let isOver = false;
  let slowestMs = 0;
  const measure = async (): Promise<void> => {
    while (!isOver) {
      const dueAt = performance.now() + READ_EVERY_MS;
      await pause(READ_EVERY_MS);
      await read();
      slowestMs = Math.max(slowestMs, performance.now() - dueAt);
    }
  };
  const end = (): void => {
    isOver = true;
  };
  await Promise.all([work.finally(end), measure()]);
  return slowestMs;
}

/** When a stream was opened, asked and left, by `performance.now()`. */
interface Seen {
  readonly endpoint: string;
  readonly at: number;
  /** The oldest request without an answer. */
  askedAt?: number | undefined;
  /** The request that was answered last. */
  answeredFor?: number | undefined;
  leftAt?: number;
}

/** The streams of a client, and when each renewal was asked for and answered. */
function observeStreams(transport: EtcdTransport) {
  const streams = { keepAlive: [] as Seen[], watch: [] as Seen[] };
  const seen = {
    answeredAt: 0,
    opened: (verb: "keepAlive" | "watch"): Seen => streams[verb].at(-1) as Seen,
    transport: overrideTransport(transport, {
      keepAlive: async (handlers, options) => {
        const note: { -readonly [Name in keyof Seen]: Seen[Name] } = { endpoint: "", at: 0 };
        const onMessage: typeof handlers.onMessage = (answer) => {
          seen.answeredAt = performance.now();
          note.answeredFor = note.askedAt;
          note.askedAt = undefined;
          handlers.onMessage(answer);
        };
        const stream = await transport.keepAlive(
          { onMessage, onEnd: (error) => handlers.onEnd(error) },
          options,
        );
        streams.keepAlive.push(Object.assign(note, { endpoint: stream.endpoint, at: performance.now() }));
        return {
          endpoint: stream.endpoint,
          roundTripMs: stream.roundTripMs ?? 0,
          send: (request) => {
            note.askedAt ??= performance.now();
            stream.send(request);
          },
          cancel: (how) => {
            note.leftAt = performance.now();
            stream.cancel(how);
          },
        };
      },
      watch: async (handlers, options) => {
        const stream = await transport.watch(handlers, options);
        streams.watch.push({ endpoint: stream.endpoint, at: performance.now() });
        return stream;
      },
    }),
  };
  return seen;
}

describe.each(newest())("a registration and a discovery, when the way to $name fails", ({ binary }) => {
  it.concurrent("F30 reset after any byte of their start: one write each, and each change is told once", async () => {
    await using etcd = await startEtcd({ binary });
    const cuts = Array.from({ length: 24 }, (_, index) => 1 + index * 53);
    const results = await Promise.all(
      cuts.map(async (bytes, index) => {
        await using proxy = await FaultProxy.start({ target: etcd.process.endpoint });
        await using client = createClient({ endpoints: proxy.endpoint });
        proxy.resetAfterBytes(bytes, index % 2 === 0 ? "down" : "up");
        const service = `cut-${bytes}`;
        const web = startDiscovery(client, { service });
        const server = startRegistration(client, { service, id: "node1", address: "localhost:8000" });
        await Promise.all([server.ready(), web.ready()]);
        using changes = recordChanges(web);
        await expect(web).toConverge(["node1"], back);
        proxy.resetAfterBytes(bytes, "down");
        await etcd.put(`/${service}/node2`, "localhost:8001");
        await expect(web).toConverge(["node1", "node2"], back);
        const [held] = await etcd.entries(`/${service}/node1`);
        return [
          held?.version,
          changes.problems(),
          changes.log.filter((each) => each.endsWith("node2")).length,
        ];
      }),
    );
    expect(results).toEqual(cuts.map(() => [1, [], 1]));
  });

  it.concurrent.each(["up", "down", "both"] as const)(
    "F31 black-holed link (%s): on another one in time, nothing is lost, written or told twice",
    async (direction) => {
      await using etcd = await startEtcd({ binary });
      await using second = await FaultProxy.start({ target: etcd.process.endpoint });
      await using pair = await Pair.start(
        { endpoints: [...etcd.endpoints, second.endpoint] },
        { ttlSeconds: 15 },
      );
      const before = await etcd.entries("/web/node1");
      // One of them is the one that they are on.
      for (const link of [etcd.proxy, second]) {
        link.blackhole(direction);
        await etcd.put("/web/node2", `localhost:${portOf(link)}`);
        await expect(pair.web).toConverge(etcd, { withinMs: 15_000 });
        await pause(2_000);
        link.pass();
        link.reset();
      }
      await leaseTime(8);
      expect(await etcd.entries("/web/node1")).toEqual(before);
      expect(pair.serverStates.statuses).toEqual(["registered"]);
      expect(pair.changes.log).toEqual(["+/web/node2", "~/web/node2"]);
      expect(pair.changes).toBeConsistent();
    },
  );

  it.concurrent.each(["up", "down", "both"] as const)(
    "F31 black-holed link (%s): renewals leave it 3 s after the first without an answer, watches within 7 s (R16)",
    async (direction) => {
      await using etcd = await startEtcd({ binary });
      await using second = await FaultProxy.start({ target: etcd.process.endpoint });
      // All are on the first, and may go to the second.
      second.refuse();
      const endpoints = [etcd.proxy.endpoint, second.endpoint];
      const seen = observeStreams(createClient({ endpoints }).transport);
      await using client = createClient({ transport: seen.transport });
      const wish = { service: "web", id: "node1", address: "h:1", ttlSeconds: 15 };
      const server = startRegistration(client, wish);
      const web = startDiscovery(client, { service: "web" });
      await Promise.all([server.ready(), web.ready()]);
      await expect(web).toConverge(["node1"]);
      const states = recordStates(server);
      await eventually(() => seen.answeredAt > 0, { timeoutMs: 7_000 });
      const [renewals, watches] = [seen.opened("keepAlive"), seen.opened("watch")];
      second.pass();
      const holeAt = performance.now();
      etcd.proxy.blackhole(direction);
      const replaced = eventually(() => seen.opened("watch") !== watches, { timeoutMs: 15_000 });
      const stepMs = await slowestWhile(replaced, () => etcd.entries("/web/node1"));
      const tookMs = seen.opened("watch").at - holeAt;
      expect(tookMs, `to another watch stream, steps of ${stepMs} ms`).toBeLessThan(
        WATCH_MS + WATCH_STEPS * stepMs,
      );
      await eventually(() => seen.opened("keepAlive") !== renewals, { timeoutMs: 15_000 });
      const { askedAt = 0, leftAt = 0, answeredFor } = renewals;
      // The answer deadline, and what a timer of a busy machine is late; the link takes no time.
      expect(leftAt - askedAt).toBeGreaterThanOrEqual(2_990);
      expect(leftAt - askedAt).toBeLessThan(4_500);
      expect(leftAt - (answeredFor ?? 0), "before two thirds of the TTL").toBeLessThan(10_000);
      await eventually(() => seen.answeredAt > leftAt, { timeoutMs: 10_000 });
      expect(states.statuses).toEqual(["registered"]);
    },
    60_000,
  );

  it.concurrent("F33 drip of 16 KiB/s: stays registered, and lists 1,000 instances page by page", async () => {
    await using etcd = await startEtcd({ binary });
    await using writer = createClient({ endpoints: etcd.process.endpoint });
    const value = JSON.stringify({ address: "localhost:8000", metadata: { note: "x".repeat(60) } });
    await fill(writer, "/web/n", 1_000, { value });
    etcd.proxy.limitBandwidth(16 * 1_024);
    const start = performance.now();
    // Longer than any single call may take.
    await using pair = await Pair.start(etcd, { ttlSeconds: 15 });
    expect(performance.now() - start).toBeGreaterThan(10_000);
    await expect(pair.web).toConverge(etcd, { withinMs: 20_000 });
    await pause(16_000);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.web.snapshot.instances).toHaveLength(1_001);
    expect(pair.webStates.statuses).toEqual(["live"]);
  }, 120_000);

  it("F34 a name that does not resolve, then moves: waits, does not care while connected, follows", async () => {
    await using etcd = await startEtcd({ binary });
    let addresses: readonly LookupAddress[] | undefined;
    const lookup = vi.spyOn(dns, "lookup");
    lookup.mockImplementation((async (name: string) => {
      if (name !== "etcd.invalid" || !addresses)
        throw Object.assign(new Error(`ENOTFOUND ${name}`), { code: "ENOTFOUND" });
      return addresses;
    }) as unknown as typeof dns.lookup);
    const reach = { endpoints: `http://etcd.invalid:${portOf(etcd.proxy)}` };
    const starting = Pair.start(reach, { ttlSeconds: 30 });
    await pause(3_000);
    addresses = [{ address: "127.0.0.1", family: 4 }];
    await using pair = await starting;
    const before = await etcd.entries("/web/");
    addresses = undefined;
    const asked = lookup.mock.calls.length;
    await pause(3_000);
    expect([pair.server.state.status, pair.web.state.status]).toEqual(["registered", "live"]);
    expect(lookup.mock.calls.length, "nobody asks while the connections hold").toBe(asked);
    // The same port at another address of this machine.
    const moved = createServer((socket) => {
      const onward = connect(portOf(etcd.process), "127.0.0.1");
      socket.pipe(onward).pipe(socket);
      for (const each of [socket, onward]) each.on("error", () => [socket, onward].map((it) => it.destroy()));
    });
    await new Promise<void>((resolve) => moved.listen(portOf(etcd.proxy), "127.0.0.2", resolve));
    expect((moved.address() as AddressInfo).port).toBe(portOf(etcd.proxy));
    etcd.proxy.refuse();
    etcd.cut();
    await expect(pair.web).toReach("stale");
    await pause(2_000);
    addresses = [{ address: "127.0.0.2", family: 4 }];
    await etcd.put("/web/node2", "localhost:8001");
    await expect(pair.web).toConverge(etcd, back);
    expect(await etcd.entries("/web/node1")).toEqual(before);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    await pair[Symbol.asyncDispose]();
    await new Promise((resolve) => moved.close(resolve));
    lookup.mockRestore();
  });

  it.concurrent("F35 bytes one by one and late by chance: neither notices", async () => {
    await using etcd = await startEtcd({ binary });
    etcd.proxy.slice();
    etcd.proxy.jitter(10);
    await using pair = await Pair.start(etcd);
    await leaseTime();
    for (let port = 1; port <= 10; port += 1) await etcd.put("/web/node2", `localhost:${port}`);
    await expect(pair.web).toConverge(etcd, back);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.webStates.statuses).toEqual(["live"]);
    expect(pair.changes).toBeConsistent();
  });

  it.concurrent.each([1, 3])("F36 stream limit of %i: both work, and close", async (limit) => {
    await using etcd = await startEtcd({ binary, args: [`--max-concurrent-streams=${limit}`] });
    await using pair = await Pair.start(etcd);
    await leaseTime();
    await etcd.put("/web/node2", "localhost:8001");
    await expect(pair.web).toConverge(etcd);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(await pair.server.close()).toMatchObject({ confirmed: true });
  });

  it.concurrent("F37 too many pings: connections that etcd ends by GOAWAY are replaced, without a loss", async () => {
    await using etcd = await startEtcd({ binary });
    // It bears one each five seconds, if nothing else is said; we send one each ten.
    const grpcOptions = { "grpc.keepalive_time_ms": 1_000 };
    await using pair = await Pair.start({ endpoints: etcd.endpoints, grpcOptions }, { ttlSeconds: 15 });
    const before = await etcd.entries("/web/");
    const { accepted } = etcd.proxy;
    for (let round = 1; round <= 6; round += 1) {
      await pause(4_000);
      await etcd.put("/web/node2", `localhost:${round}`);
    }
    await expect(pair.web).toConverge(etcd, back);
    expect(etcd.proxy.accepted - accepted, "replaced").toBeGreaterThan(2);
    expect(await etcd.entries("/web/node1")).toEqual(before);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.changes).toBeConsistent();
  }, 90_000);
});
