import { createClient, type EtcdClient } from "@sd/core";
import { EtcdCluster, type EtcdProcess, eventually, leakCheck } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { leaseTime, newest, Pair, pause, TTL } from "./pair.js";

const back = { withinMs: 15_000 };

// packages/register has most of these for each version; here the discovery is beside the registration.
describe.each(newest())("a registration and a discovery on a cluster of three, $name", ({ binary }) => {
  const leaks = leakCheck();
  let cluster: EtcdCluster;
  let pair: Pair;
  let direct: EtcdClient;
  let before: unknown;

  /** What the cluster holds of the service: any write would show. While it elects, etcd refuses to say. */
  const held = (): Promise<unknown> =>
    eventually(async () => (await direct.transport.range({ key: Buffer.from("/web/node1") })).kvs, {
      timeoutMs: back.withinMs,
    });
  const follower = async (): Promise<EtcdProcess> => {
    const leader = await cluster.leader();
    return cluster.members.find((member) => member !== leader) as EtcdProcess;
  };
  /** A change that the discovery must tell, made after the fault. */
  const change = async (id: string): Promise<void> => {
    const leader = await cluster.leader();
    await leader.ctl("put", `/web/${id}`, "localhost:8001");
    await expect(pair.web).toConverge(["node1", id], back);
    await leader.ctl("del", `/web/${id}`);
    await expect(pair.web).toConverge(["node1"], back);
  };

  beforeAll(async () => {
    cluster = await EtcdCluster.start({ binary });
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await leaks.assertClean({ withinMs: 3_000 });
  });
  beforeEach(async () => {
    pair = await Pair.start({ endpoints: cluster.endpoints }, { ttlSeconds: TTL });
    direct = createClient({ endpoints: cluster.endpoints });
    before = await held();
  });
  afterEach(async () => {
    cluster.heal();
    for (const member of cluster.members) if (!member.isRunning) await member.restart();
    await cluster.leader();
    await Promise.all([pair[Symbol.asyncDispose](), direct.close()]);
  });

  it.each<[string, () => Promise<EtcdProcess>]>([
    ["F10 leader killed", () => cluster.leader()],
    ["F12 minority lost", follower],
  ])("%s: nothing is written, and the next change is told", async (_, victim) => {
    await (await victim()).kill();
    await leaseTime();
    expect(await held()).toEqual(before);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    await change("next");
    expect(pair.changes.log).toEqual(["+/web/next", "-/web/next"]);
    expect(pair.changes).toBeConsistent();
  });

  it("F11 leader moved: nobody notices", async () => {
    for (let moves = 0; moves < 3; moves += 1) await cluster.moveLeader();
    await leaseTime();
    expect(await held()).toEqual(before);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.changes.log).toEqual([]);
    await change("next");
  });

  it("F13 majority lost for longer than the TTL: lost and stale meanwhile, and then nothing is written", async () => {
    const [first, second] = cluster.members as [EtcdProcess, EtcdProcess, EtcdProcess];
    await Promise.all([first.kill(), second.kill()]);
    await Promise.all([
      expect(pair.server).toReach("lost", { withinMs: 10_000 }),
      expect(pair.web).toReach("stale", { withinMs: 15_000 }),
    ]);
    await pause(2_000);
    expect(pair.web.pick().id).toBe("node1");
    await Promise.all([first.restart(), second.restart()]);
    await expect(pair.server).toReach("registered", back);
    await expect(pair.web).toConverge(["node1"], back);
    await leaseTime();
    expect(await held()).toEqual(before);
    expect(pair.changes.log).toEqual([]);
  });

  it("F15 cut off with their member: on another one, nothing is written, nothing older is shown", async () => {
    // Whichever member they are on.
    for (const member of cluster.members) {
      cluster.isolate(member);
      await pause(4_000);
      await change(member.name);
      cluster.heal();
      await cluster.leader();
    }
    expect(await held()).toEqual(before);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.changes).toBeConsistent();
    expect(pair.web.snapshot.epoch).toBe(1);
  });

  it("F14 member removed: on the others, nothing is written", async () => {
    // etcd refuses while members are new to each other.
    await pause(6_000);
    await cluster.remove(await cluster.leader());
    await leaseTime();
    await change("next");
    expect(await held()).toEqual(before);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.changes).toBeConsistent();
  });
});
