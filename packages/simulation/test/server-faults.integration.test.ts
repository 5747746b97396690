import { leakCheck, oldestAndNewestEtcd, startEtcd, type TestEtcd } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, describe, expect, it } from "vitest";
import { leaseTime, Pair, pause, TTL } from "./pair.js";

const leaks = leakCheck();
afterAll(() => leaks.assertClean({ withinMs: 3_000 }));

/** From the return of etcd to the truth, on a busy machine. */
const back = { withinMs: 12_000 };

describe.each(oldestAndNewestEtcd())(
  "a registration and a discovery, when $name fails",
  ({ binary, name }) => {
    it.concurrent.each<[string, (etcd: TestEtcd) => Promise<void>]>([
      ["F1 killed, back within the TTL", (etcd) => etcd.kill().then(() => pause(1_000))],
      ["F2 killed, back after three TTLs", (etcd) => etcd.kill().then(() => pause(3 * TTL * 1_000))],
      ["F3 stopped by SIGTERM, and started again", (etcd) => etcd.process.stop()],
    ])("%s: nothing is written, nothing is told", async (_, fail) => {
      await using etcd = await startEtcd({ binary });
      await using pair = await Pair.start(etcd);
      const before = await etcd.entries("/web/");
      await fail(etcd);
      expect(pair.web.pick().address).toBe("localhost:8000");
      await etcd.restart();
      await expect(pair.web).toConverge(etcd, back);
      await expect(pair.server).toReach("registered", back);
      await leaseTime();
      expect(await etcd.entries("/web/")).toEqual(before);
      expect(pair.server.state.status).toBe("registered");
      expect(pair.changes.log).toEqual([]);
      await etcd.put("/web/node2", "localhost:8001");
      await expect(pair.web).toConverge(etcd);
      expect(pair.changes).toBeConsistent();
    });

    it.concurrent.each<[string, (etcd: TestEtcd) => unknown, (etcd: TestEtcd) => void]>([
      ["F4 frozen by SIGSTOP", (etcd) => etcd.freeze(), (etcd) => etcd.thaw()],
      ["F5 a tarpit after a break", (etcd) => [etcd.proxy.tarpit(), etcd.cut()], (etcd) => etcd.proxy.pass()],
    ])("%s, for less than the TTL: stale meanwhile, nothing is lost or written", async (_, fail, mend) => {
      await using etcd = await startEtcd({ binary });
      await using pair = await Pair.start(etcd, { ttlSeconds: 30 });
      const before = await etcd.entries("/web/");
      await fail(etcd);
      await expect(pair.web).toReach("stale", { withinMs: 15_000 });
      expect(pair.web.pick().address).toBe("localhost:8000");
      mend(etcd);
      await expect(pair.web).toConverge(etcd, back);
      // A renewal is due every 10 s.
      await pause(11_000);
      expect(await etcd.entries("/web/")).toEqual(before);
      expect(pair.serverStates.statuses).toEqual(["registered"]);
      expect(pair.changes.log).toEqual([]);
    });

    it.concurrent.each([
      ["F6 wiped, at a lower revision", 0],
      ["F7 wiped, and grown beyond", 40],
    ])("%s: registered anew, another epoch, and the list is never empty", async (_, junk) => {
      await using etcd = await startEtcd({ binary });
      for (let index = 0; index < 20; index += 1) await etcd.put("/past", `${index}`);
      await using pair = await Pair.start(etcd);
      const { revision } = pair.web.snapshot;
      etcd.proxy.refuse();
      etcd.cut();
      await etcd.wipe();
      for (let index = 0; index < junk; index += 1) await etcd.put("/junk", `${index}`);
      expect(await etcd.revision()).toSatisfy((now: number) => (junk > 0 ? now > revision : now < revision));
      etcd.proxy.pass();
      await expect(pair.server).toReach("registered", back);
      await expect(pair.web).toConverge(etcd, back);
      await leaseTime();
      expect(await etcd.list("/web/")).toEqual({ "/web/node1": "localhost:8000" });
      await expect(pair.web).toConverge(etcd);
      expect([pair.web.snapshot.epoch, pair.emptied]).toEqual([2, 0]);
      expect(pair.changes.log.filter((change) => change.startsWith("-"))).toEqual([]);
      expect(pair.changes).toBeConsistent();
    });

    it.concurrent.each(restores(name))(
      "F8 restored from a snapshot, %s: registered under a live lease, the list is right and never empty",
      async (_, options) => {
        await using etcd = await startEtcd({ binary });
        await etcd.put("/web/old", "localhost:1");
        await using pair = await Pair.start(etcd, { graceMs: 8_000 });
        const snapshot = await etcd.process.snapshot();
        for (let index = 0; index < 20; index += 1) await etcd.put("/past", `${index}`);
        await etcd.delete("/web/old");
        await etcd.put("/web/late", "localhost:2");
        await expect(pair.web).toConverge(["node1", "late"]);
        await etcd.process.kill();
        await etcd.process.restore(snapshot, options);
        await etcd.restart();
        await etcd.put("/web/new", "localhost:3");
        await expect(pair.server).toReach("registered", back);
        await leaseTime();
        expect(Object.keys(await etcd.list("/web/"))).toEqual(["/web/new", "/web/node1", "/web/old"]);
        expect(pair.server.state.status).toBe("registered");
        // What only the lost history held stays for the grace.
        await expect(pair.web).toConverge(etcd, { withinMs: 25_000 });
        expect(pair.emptied).toBe(0);
        expect(pair.changes.log).not.toContain("-/web/node1");
        expect(pair.changes).toBeConsistent();
      },
    );
  },
);

function restores(name: string): [how: string, options: { token?: string; bumpRevision?: number }][] {
  const bump: [string, { bumpRevision: number }] = ["with revisions that go on", { bumpRevision: 1_000 }];
  return [
    ["as it was", {}],
    ["as another cluster", { token: "other" }],
    // The tools of 3.4 cannot.
    ...(name.startsWith("etcd 3.4.") ? [] : [bump]),
  ];
}
