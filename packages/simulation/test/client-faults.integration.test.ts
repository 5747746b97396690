import { createClient, nextRound } from "@sd/core";
import { discover, startDiscovery } from "@sd/discover";
import { register, startRegistration } from "@sd/register";
import { leakCheck, recordChanges, recordStates, SeededRandom, startEtcd } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { leaseTime, newest, Pair, pause, TTL } from "./pair.js";

const leaks = leakCheck();
afterAll(() => leaks.assertClean({ withinMs: 3_000 }));
afterEach(() => void vi.useRealTimers());

const back = { withinMs: 10_000 };

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe.each(newest())(
  "a registration and a discovery, when their process fails, on $name",
  ({ binary }) => {
    it("F21 blocked event loop: one re-registration, and what was missed is told in order", async () => {
      await using etcd = await startEtcd({ binary });
      await etcd.put("/web/node2", "localhost:8001");
      await using pair = await Pair.start({ endpoints: etcd.process.endpoint });
      const revision = await etcd.revision();
      block((TTL + 3) * 1_000);
      await expect(pair.server).toReach("lost");
      await expect(pair.server).toReach("registered", back);
      await expect(pair.web).toConverge(etcd, back);
      await leaseTime();
      expect(await etcd.revision(), "the end of the lease, and one write").toBe(revision + 2);
      expect(pair.changes.log).toEqual(["-/web/node1", "+/web/node1"]);
      expect(pair.changes).toBeConsistent();
      expect([pair.server.state.status, pair.web.state.status]).toEqual(["registered", "live"]);
    });

    it("F21 blocked event loop: an answer that has come meanwhile is in time", async () => {
      await using etcd = await startEtcd({ binary });
      await using client = createClient({ endpoints: etcd.process.endpoint });
      const ask = () => client.transport.range({ key: Buffer.from("/web/") }, { timeoutMs: 300 });
      await ask();
      for (let round = 0; round < 5; round += 1) {
        const answer = ask();
        // It is on its way then, and timers are what comes next.
        await nextRound();
        await nextRound();
        block(500);
        await expect(answer).resolves.toMatchObject({ kvs: [] });
      }
    });

    it("F25 wall clock an hour ahead and behind: nothing is lost, written or told, and ages are right", async () => {
      await using etcd = await startEtcd({ binary });
      await using pair = await Pair.start(etcd);
      const revision = await etcd.revision();
      const now = Date.now();
      for (const jump of [3_600_000, -3_600_000]) {
        vi.useFakeTimers({ toFake: ["Date"], now: now + jump });
        await leaseTime();
      }
      vi.useRealTimers();
      expect(await etcd.revision()).toBe(revision);
      expect([pair.serverStates.statuses, pair.webStates.statuses]).toEqual([["registered"], ["live"]]);
      expect(pair.changes.log).toEqual([]);
      await etcd.put("/web/node2", "localhost:8001");
      await expect(pair.web).toConverge(etcd);
      expect(pair.web.snapshot.ageMs).toBeLessThan(10_000);
    });

    it.concurrent("F23 closed at any moment of the start, over a slow link: no key is left, and none appears", async () => {
      await using etcd = await startEtcd({ binary });
      etcd.proxy.delay(250);
      const random = new SeededRandom(23);
      const closed = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          await using client = createClient(etcd);
          const server = startRegistration(client, {
            service: "web",
            id: `${index}`,
            address: "localhost:8000",
            ttlSeconds: TTL,
            closeTimeoutMs: 1_500,
          });
          const web = startDiscovery(client, { service: "web" });
          await pause(random.next() * 3_000);
          await web.close();
          return (await server.close()).confirmed;
        }),
      );
      const left = Object.keys(await etcd.list("/web/"));
      expect(left.filter((key) => closed[Number(key.slice("/web/".length))])).toEqual([]);
      await leaseTime();
      expect(await etcd.list("/web/")).toEqual({});
    });

    it.concurrent("F24 closed while etcd is hung: the discovery at once, the registration at its deadline, by the TTL", async () => {
      await using etcd = await startEtcd({ binary });
      await using pair = await Pair.start(etcd, { closeTimeoutMs: 1_000 });
      etcd.proxy.blackhole();
      const start = performance.now();
      await pair.web.close();
      expect(performance.now() - start).toBeLessThan(500);
      expect(await pair.server.close()).toMatchObject({ confirmed: false });
      expect(performance.now() - start).toBeLessThan(2_000);
      await leaseTime();
      expect(await etcd.list("/web/")).toEqual({});
    });

    it.concurrent("F26 two of one key: one owner at any revision, the other enters when it is dead, and it is one instance", async () => {
      await using etcd = await startEtcd({ binary });
      await using observer = createClient(etcd);
      const web = await discover(observer, { service: "web" });
      using changes = recordChanges(web);
      let most = 0;
      web.onChanges(() => (most = Math.max(most, web.snapshot.instances.length)));
      const reaches = [etcd.process.endpoint, etcd.endpoints] as const;
      await using direct = createClient({ endpoints: reaches[0] });
      await using proxied = createClient({ endpoints: reaches[1] });
      const both = [direct, proxied].map((client, index) =>
        startRegistration(client, {
          service: "web",
          id: "node1",
          address: `localhost:800${index}`,
          ttlSeconds: TTL,
        }),
      );
      await vi.waitFor(
        () => expect(both.map(({ state }) => state.status).sort()).toEqual(["conflict", "registered"]),
        5_000,
      );
      const [owner, other] = both[0]?.state.status === "registered" ? both : both.toReversed();
      await expect(web).toConverge(etcd);
      // As by a crash: no close, and nothing that writes again.
      const ended = [owner === both[0] ? direct : proxied].map((client) => client.transport.close());
      await expect(other as NonNullable<typeof other>).toReach("registered", {
        withinMs: (TTL + 4) * 1_000,
      });
      await Promise.all(ended);
      await expect(web).toConverge(etcd);
      expect(changes.log).toEqual(["+/web/node1", "-/web/node1", "+/web/node1"]);
      expect([most, changes.problems()]).toEqual([1, []]);
    });

    it.concurrent("F27 rolling restart under one id: the old one's close takes nothing away, and no removal is told", async () => {
      await using etcd = await startEtcd({ binary });
      await using pair = await Pair.start(etcd);
      await using next = createClient(etcd);
      const successor = await register(next, {
        service: "web",
        id: "node1",
        address: "localhost:8000",
        weight: 7,
        ttlSeconds: TTL,
        onConflict: "takeover",
      });
      const states = recordStates(successor);
      await expect(pair.server).toReach("conflict");
      await pair.server.close();
      await leaseTime();
      expect(states.statuses).toEqual(["registered"]);
      await expect(pair.web).toConverge(etcd);
      expect(pair.changes.log).toEqual(["~/web/node1"]);
      expect(pair.web.pick().weight).toBe(7);
    });
  },
);
