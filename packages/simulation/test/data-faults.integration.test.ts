import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createClient, type LeaseId } from "@sd/core";
import { discover, discoverPrefix } from "@sd/discover";
import { register } from "@sd/register";
import { leakCheck, oldestAndNewestEtcd, recordChanges, startEtcd, type TestEtcd } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, describe, expect, it } from "vitest";
import { fill, leaseTime, newest, Pair, pause } from "./pair.js";

const leaks = leakCheck();
afterAll(() => leaks.assertClean({ withinMs: 3_000 }));

const back = { withinMs: 12_000 };

describe.each(oldestAndNewestEtcd())(
  "a registration and a discovery, when data change below them, on $name",
  ({ binary }) => {
    const shutOut = (etcd: TestEtcd): void => {
      etcd.proxy.refuse();
      etcd.cut();
    };

    it.concurrent("F40 compacted while disconnected: the key that was deleted is put back, and all is told", async () => {
      await using etcd = await startEtcd({ binary });
      await etcd.put("/web/gone", "localhost:1");
      await using pair = await Pair.start(etcd, { ttlSeconds: 15 });
      const [before] = await etcd.entries("/web/node1");
      shutOut(etcd);
      await etcd.delete("/web/gone");
      await etcd.delete("/web/node1");
      for (let port = 1; port < 20; port += 1) await etcd.put("/web/new", `localhost:${port}`);
      await etcd.compact();
      await pause(1_000);
      etcd.proxy.pass();
      await expect(pair.web).toConverge(["node1", "new"], back);
      await expect(pair.web).toConverge(etcd, back);
      const [after] = await etcd.entries("/web/node1");
      expect([after?.lease, after?.version], "the same lease").toEqual([before?.lease, 1]);
      expect(pair.server.state.status).toBe("registered");
      expect([pair.web.snapshot.epoch, pair.emptied]).toEqual([1, 0]);
      expect(pair.changes.log).toContain("-/web/gone");
      expect(pair.changes).toBeConsistent();
    });

    it.concurrent("F44 lease revoked from outside: back within a second under another one, told as such", async () => {
      await using etcd = await startEtcd({ binary });
      await using pair = await Pair.start(etcd);
      const [before] = await etcd.entries("/web/");
      const revision = await etcd.revision();
      await etcd.expireLease("/web/node1");
      await expect(pair.web).toConverge(["node1"], { withinMs: 1_500 });
      await leaseTime();
      const [after] = await etcd.entries("/web/");
      expect(after?.lease).not.toBe(before?.lease);
      expect(await etcd.revision(), "one end, one write").toBe(revision + 2);
      await expect(pair.web).toConverge(etcd);
      expect(pair.changes.log).toEqual(["-/web/node1", "+/web/node1"]);
    });

    it.concurrent("F45 key deleted from outside: back within a second under its lease, told as such", async () => {
      await using etcd = await startEtcd({ binary });
      await using pair = await Pair.start(etcd);
      const [before] = await etcd.entries("/web/");
      const revision = await etcd.revision();
      await etcd.delete("/web/node1");
      await expect(pair.web).toConverge(["node1"], { withinMs: 1_500 });
      await leaseTime();
      const [after] = await etcd.entries("/web/");
      expect(after?.lease).toBe(before?.lease);
      expect(await etcd.revision(), "one deletion, one write").toBe(revision + 2);
      expect(pair.changes.log).toEqual(["-/web/node1", "+/web/node1"]);
    });

    it.concurrent.each([
      ["with a lease", 5],
      ["without a lease", undefined],
    ])(
      "F46 key overwritten by another owner %s: conflict, an update is told, close() takes nothing, back when it is free",
      async (_, ttlSeconds) => {
        await using etcd = await startEtcd({ binary });
        await using pair = await Pair.start(etcd);
        await using other = createClient(etcd);
        const second = await register(other, {
          service: "web",
          id: "node2",
          address: "localhost:8000",
          ttlSeconds: 5,
        });
        await expect(pair.web).toConverge(["node1", "node2"]);
        for (const id of ["node1", "node2"]) {
          await etcd.put(`/web/${id}`, "localhost:9", ttlSeconds === undefined ? {} : { ttlSeconds });
        }
        await Promise.all([expect(pair.server).toReach("conflict"), expect(second).toReach("conflict")]);
        await expect(pair.web).toConverge(["localhost:9", "localhost:9"]);
        expect(pair.changes.log.slice(-2)).toEqual(["~/web/node1", "~/web/node2"]);
        const { state } = pair.server;
        expect(state.status === "conflict" && Buffer.from(state.owner.value).toString()).toBe("localhost:9");
        await second.close();
        expect(await etcd.get("/web/node2"), "another's").toBe("localhost:9");
        // With a lease it ends by itself: nobody renews it.
        if (ttlSeconds === undefined) {
          await leaseTime();
          expect(await etcd.get("/web/node1"), "waited for").toBe("localhost:9");
          await etcd.delete("/web/node1");
        }
        await expect(pair.server).toReach("registered", { withinMs: 15_000 });
        expect(await etcd.get("/web/node1")).toBe("localhost:8000");
        await expect(pair.web).toConverge(etcd);
        expect(pair.changes).toBeConsistent();
      },
    );
  },
);

describe.each(newest())("a registration and a discovery, when data are many, on $name", ({ binary }) => {
  it("F43 a watch that cannot keep up, compacted: canceled, listed again, nothing is missed", async () => {
    await using etcd = await startEtcd({ binary });
    await using writer = createClient({ endpoints: etcd.process.endpoint });
    await using pair = await Pair.start({ endpoints: etcd.process.endpoint });
    await using client = createClient(etcd);
    const keys = await discoverPrefix(client, "/x/");
    using changes = recordChanges(keys);
    const listed: unknown[] = [];
    const onListed = (message: unknown): void => void listed.push(message);
    subscribe("sd:reflector:listed", onListed);
    etcd.proxy.limitBandwidth(1, "down");
    await fill(writer, "/x/", 20_000, { value: "first ".repeat(20) });
    await fill(writer, "/x/", 2_000, { value: "second" });
    await etcd.delete("/x/7");
    await etcd.compact();
    await pause(500);
    etcd.proxy.pass();
    await expect(keys).toConverge(etcd, { withinMs: 20_000 });
    unsubscribe("sd:reflector:listed", onListed);
    expect(listed).toMatchObject([{ prefix: "/x/" }]);
    expect([keys.snapshot.instances.length, changes.problems(), keys.snapshot.epoch]).toEqual([
      19_999,
      [],
      1,
    ]);
    expect([pair.serverStates.statuses, pair.changes.log]).toEqual([["registered"], []]);
  });

  it("F48 F64 100,000 keys of one lease: listed, then gone in one revision, told at once; others do not notice", async () => {
    await using etcd = await startEtcd({ binary });
    await using writer = createClient({ endpoints: etcd.process.endpoint });
    await using pair = await Pair.start(etcd);
    const lease = await writer.leases.grant({ ttlSeconds: 600 });
    await fill(writer, "/x/", 100_000, { lease: lease.id });
    await using client = createClient(etcd);
    const start = performance.now();
    const keys = await discoverPrefix(client, "/x/");
    const listedMs = performance.now() - start;
    expect(keys.snapshot.instances).toHaveLength(100_000);
    expect(listedMs).toBeLessThan(15_000);
    using changes = recordChanges(keys);
    await lease.revoke();
    await expect(keys).toConverge([], { withinMs: 15_000 });
    expect(changes.messages.map(({ changes: told }) => told.length)).toEqual([100_000]);
    expect([keys.snapshot.revision, keys.state.status]).toEqual([await etcd.revision(), "live"]);
    await expect(pair.web).toConverge(etcd);
    expect([pair.serverStates.statuses, pair.changes.log]).toEqual([["registered"], []]);
  }, 90_000);

  it("F65 F66 50,000 events as fast as etcd takes them, and a slow reader: each is told once, who is slow makes nobody wait", async () => {
    await using etcd = await startEtcd({ binary });
    await using writer = createClient({ endpoints: etcd.process.endpoint });
    await using pair = await Pair.start(etcd);
    await using client = createClient(etcd);
    const keys = await discoverPrefix(client, "/x/");
    using changes = recordChanges(keys);
    const seen: number[] = [];
    const reading = (async () => {
      for await (const snapshot of keys.snapshots()) {
        seen.push(snapshot.revision);
        if (snapshot.instances.some(({ key }) => key === "/x/last")) return;
        await pause(300);
      }
    })();
    const start = performance.now();
    for (let round = 0; round < 50; round += 1) await fill(writer, "/x/", 1_000, { value: `${round}` });
    const perSecond = Math.round(50_000 / ((performance.now() - start) / 1_000));
    await expect(keys).toConverge(etcd, back);
    expect(perSecond, "events each second").toBeGreaterThan(500);
    expect(changes.log).toHaveLength(50_000);
    expect(changes).toBeConsistent();
    expect(seen.length, "the slow one has got few of them").toBeLessThan(100);
    await etcd.put("/x/last", "1");
    await reading;
    expect(seen.at(-1), "and ends with the newest").toBe(await etcd.revision());
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.webStates.statuses).toEqual(["live"]);
  }, 90_000);

  it("F67 5,000 leases expire together: each end is told once, and who renews does not notice", async () => {
    await using etcd = await startEtcd({ binary });
    await using writer = createClient({ endpoints: etcd.process.endpoint });
    await using pair = await Pair.start(etcd);
    await using client = createClient(etcd);
    const { transport } = writer;
    const crowd = await discover(client, { service: "crowd" });
    using changes = recordChanges(crowd);
    for (let from = 1; from <= 5_000; from += 500) {
      await Promise.all(
        Array.from({ length: 500 }, async (_, index) => {
          const id = BigInt(from + index) as LeaseId;
          await transport.grant({ id, ttlSeconds: 10 });
          await transport.txn({
            compare: [],
            success: [
              { type: "put", key: Buffer.from(`/crowd/${id}`), value: Buffer.from("localhost:1"), lease: id },
            ],
            failure: [],
          });
        }),
      );
    }
    await expect(crowd).toConverge([], { withinMs: 40_000 });
    for (const mark of ["+", "-"]) {
      expect(changes.log.filter((change) => change.startsWith(mark))).toHaveLength(5_000);
    }
    expect(changes).toBeConsistent();
    expect([pair.serverStates.statuses, pair.changes.log]).toEqual([["registered"], []]);
  }, 120_000);
});
