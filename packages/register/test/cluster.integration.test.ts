import { createClient, prefixRange, Reflector, type Store } from "@sd/core";
import { EtcdCluster, type EtcdProcess, eventually, oldestAndNewestEtcd } from "@sd/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { registerKey } from "../src/index.js";

describe.each(oldestAndNewestEtcd())("a cluster of three, on $name", ({ binary }) => {
  let cluster: EtcdCluster;

  beforeAll(async () => {
    cluster = await EtcdCluster.start({ binary });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());
  afterEach(async () => {
    cluster.heal();
    for (const member of cluster.members) {
      member.thaw();
      if (!member.isRunning) await member.restart();
    }
    await cluster.leader();
  });

  it("keeps a registration without a write when its leader is killed (R14, T5, F10)", async () => {
    await using client = createClient({ endpoints: cluster.endpoints });
    await using registration = await registerKey(client, { key: "/c/kill", value: "a:1", ttlSeconds: 5 });
    const leader = await cluster.leader();
    const [survivor] = followers(cluster, leader);
    const before = await kvOf(survivor, "/c/kill");
    await leader.kill();
    await pause(9_000);
    expect(registration.state.status).toBe("registered");
    expect(await kvOf(survivor, "/c/kill")).toEqual(before);
  });

  it("keeps a registration while a member is frozen, whichever it is on (R16, T5, F12)", async () => {
    await using client = createClient({ endpoints: cluster.endpoints });
    await using registration = await registerKey(client, { key: "/c/freeze", value: "a:1", ttlSeconds: 15 });
    const states: string[] = [];
    registration.subscribe(({ status }) => states.push(status));
    for (const member of cluster.members) {
      await member.freeze();
      await pause(8_000);
      member.thaw();
      await pause(1_000);
    }
    expect(states).toEqual([]);
  });

  it("shows nothing of a change of leaders (F11)", async () => {
    await using client = createClient({ endpoints: cluster.endpoints });
    await using registration = await registerKey(client, { key: "/c/move", value: "a:1", ttlSeconds: 5 });
    const states: string[] = [];
    registration.subscribe(({ status }) => states.push(status));
    const before = await kvOf(await cluster.leader(), "/c/move");
    for (let moves = 1; moves <= 3; moves += 1) await cluster.moveLeader();
    await pause(6_000);
    expect(states).toEqual([]);
    expect(await kvOf(await cluster.leader(), "/c/move")).toEqual(before);
  });

  it("keeps a registration without a write when the member that it is on is cut off (F15)", async () => {
    const [leader, follower, other] = await roles(cluster);
    await using client = createClient({ endpoints: [leader.endpoint, follower.endpoint] });
    await using registration = await registerKey(client, { key: "/c/cut", value: "a:1", ttlSeconds: 8 });
    const before = await kvOf(other, "/c/cut");
    // One after the other: the client is on either.
    for (const member of [leader, follower]) {
      cluster.isolate(member);
      await pause(10_000);
      expect(registration.state.status).toBe("registered");
      expect(await kvOf(other, "/c/cut")).toEqual(before);
      cluster.heal();
      await cluster.leader();
    }
  });

  it("notices a member that has lost the others, by its watch, and goes on once it is healed (T4, F13)", async () => {
    const [isolated, ...others] = await roles(cluster);
    await using client = createClient({ endpoints: [isolated.endpoint] });
    const keys = new Set<string>();
    const store: Store = {
      get size() {
        return keys.size;
      },
      revisionOf: () => undefined,
      replace: (kvs) => {
        keys.clear();
        for (const { key } of kvs) keys.add(Buffer.from(key).toString());
      },
      apply: (events) => {
        for (const { kv } of events) keys.add(Buffer.from(kv.key).toString());
        return true;
      },
      bookmark() {},
    };
    await using reflector = new Reflector(client, { range: prefixRange(Buffer.from("/lost/")), store });
    await eventually(() => reflector.state.status === "live");
    cluster.partition([isolated], others);
    // The member still answers on the stream; only the missing leader ends it.
    await eventually(() => reflector.state.status === "stale", { timeoutMs: 10_000 });
    expect(reflector.state).toMatchObject({ error: { cause: { kind: "no-leader" } } });
    await cluster.leader();
    await others[0].ctl("put", "/lost/meanwhile", "1");
    expect([...keys]).toEqual([]);
    cluster.heal();
    await eventually(() => reflector.state.status === "live", { timeoutMs: 15_000 });
    await eventually(() => keys.has("/lost/meanwhile"));
  });
});

async function roles(cluster: EtcdCluster): Promise<[EtcdProcess, EtcdProcess, EtcdProcess]> {
  const leader = await cluster.leader();
  return [leader, ...followers(cluster, leader)];
}

function followers(cluster: EtcdCluster, leader: EtcdProcess): [EtcdProcess, EtcdProcess] {
  const [first, second] = cluster.members.filter((member) => member !== leader);
  if (!first || !second) throw new Error("fewer than two members follow");
  return [first, second];
}

/** What etcd holds at a key, with its revisions and lease: any write would show. */
async function kvOf(member: EtcdProcess, key: string): Promise<string[]> {
  const fields = (await member.ctl("get", key, "-w", "fields")).split("\n");
  const kv = fields.filter((line) => /^"(Key|Value|Lease|Version|CreateRevision|ModRevision)" :/.test(line));
  expect(kv).toHaveLength(6);
  return kv;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
