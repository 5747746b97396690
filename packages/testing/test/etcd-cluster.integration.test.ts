import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { EtcdCluster, type EtcdProcess, eventually, oldestAndNewestEtcd } from "../src/index.js";

type Three = readonly [EtcdProcess, EtcdProcess, EtcdProcess];

describe.each(oldestAndNewestEtcd())("EtcdCluster of three $name", ({ binary }) => {
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

  /** The leader, and those that follow it. */
  const roles = async (): Promise<Three> => {
    const leader = await cluster.leader();
    return [leader, ...cluster.members.filter((member) => member !== leader)] as unknown as Three;
  };

  it("is one cluster, with a client endpoint for each member", async () => {
    const statuses = await Promise.all(cluster.members.map((member) => member.status()));
    expect(cluster.members.map(({ name }) => name)).toEqual(["m0", "m1", "m2"]);
    expect(new Set(cluster.endpoints).size).toBe(3);
    expect(new Set(statuses.map(({ clusterId }) => clusterId)).size).toBe(1);
    expect(new Set(statuses.map(({ memberId }) => memberId)).size).toBe(3);
    const [leader, follower] = await roles();
    await leader.ctl("put", "/a", "1");
    expect(await valueAt(follower, "/a")).toBe("1");
  });

  it("elects another leader when its leader is killed, and takes it back as a follower", async () => {
    const [leader, , other] = await roles();
    const { raftTerm } = await leader.status();
    await leader.kill();
    const next = await cluster.leader();
    expect(next).not.toBe(leader);
    await other.ctl("put", "/kill", "1");
    await eventually(async () => (await next.status()).raftTerm > raftTerm);
    await leader.restart();
    expect(await valueAt(leader, "/kill")).toBe("1");
  });

  it("elects another leader when its leader is frozen", async () => {
    const [leader] = await roles();
    await leader.freeze();
    expect(await cluster.leader()).not.toBe(leader);
  });

  it("hands over to the member that is named, or to any other", async () => {
    const [leader, , other] = await roles();
    expect(await cluster.moveLeader(other)).toBe(other);
    expect(await cluster.leader()).toBe(other);
    expect(await cluster.moveLeader(other)).toBe(other);
    const any = await cluster.moveLeader();
    expect(any).not.toBe(other);
    expect(await cluster.leader()).toBe(any);
    expect(cluster.members).toContain(leader);
  });

  it("cuts a leader off: the others elect one and serve, it knows none and refuses, until healed", async () => {
    const [old, ...others] = await roles();
    cluster.partition([old], others);
    const next = await cluster.leader();
    expect(others).toContain(next);
    await eventually(async () => (await old.status()).leaderId === 0n, { timeoutMs: 10_000 });
    for (const other of others) await other.ctl("put", `/cut/${other.name}`, "1");
    await expect(old.ctl("watch", "/cut/old")).rejects.toThrow("no leader");
    await expect(old.ctl("put", "/cut/old", "1", "--command-timeout=1s")).rejects.toThrow(
      "deadline exceeded",
    );
    expect(await valueAt(old, `/cut/${next.name}`, "--consistency=s")).toBe("");
    cluster.heal();
    await eventually(async () => (await valueAt(old, `/cut/${next.name}`)) === "1", { timeoutMs: 10_000 });
    expect(await valueAt(old, "/cut/old")).toBe("");
  });

  it("leaves the others undisturbed when a follower is cut off", async () => {
    const [leader, follower, other] = await roles();
    const { raftTerm } = await leader.status();
    cluster.isolate(follower);
    await eventually(async () => (await follower.status()).leaderId === 0n, { timeoutMs: 10_000 });
    expect(await cluster.leader()).toBe(leader);
    expect((await other.status()).raftTerm).toBe(raftTerm);
    // A renewal at a follower goes on to the leader.
    const lease = /lease (\w+) granted/.exec(await other.ctl("lease", "grant", "60"))?.[1] as string;
    expect(await other.ctl("lease", "keep-alive", "--once", lease)).toContain("keepalived");
    expect(await valueAt(other, "/a")).toBe("1");
  });

  it("serves nobody while all members are apart", async () => {
    cluster.partition();
    await eventually(
      async () => {
        const statuses = await Promise.all(cluster.members.map((member) => member.status()));
        return statuses.every(({ leaderId }) => leaderId === 0n);
      },
      { timeoutMs: 10_000 },
    );
  });

  it("keeps data and ids over a stop of all", async () => {
    const [leader] = await roles();
    const { clusterId, revision } = await leader.status();
    await cluster.stop();
    expect(cluster.members.map(({ isRunning }) => isRunning)).toEqual([false, false, false]);
    await cluster.restart();
    expect(await (await cluster.leader()).status()).toMatchObject({ clusterId, revision });
  });

  it("removes a member for good", async () => {
    const [leader, follower, other] = await roles();
    await cluster.remove(follower);
    expect(follower.isRunning).toBe(false);
    expect(cluster.members).not.toContain(follower);
    expect(cluster.endpoints).not.toContain(follower.endpoint);
    expect((await leader.ctl("member", "list")).trim().split("\n")).toHaveLength(2);
    await other.ctl("put", "/removed", "1");
    await expect(cluster.remove(follower)).rejects.toThrow("no member of this cluster");
    expect(() => cluster.isolate(follower)).toThrow("no member of this cluster");
  });
});

describe.each(oldestAndNewestEtcd())("a cut one way between two $name", ({ binary }) => {
  it("loses what one says, and lets through what it hears", async () => {
    await using cluster = await EtcdCluster.start({ binary });
    const leader = await cluster.leader();
    const [follower, other] = cluster.members.filter((member) => member !== leader) as [
      EtcdProcess,
      EtcdProcess,
    ];
    const { memberId } = await leader.status();
    await other.ctl("put", "/a", "1");
    expect(await valueAt(follower, "/a")).toBe("1");
    // Connections that are not up yet would not come up: they need both ways.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    cluster.cut(follower, leader);
    await other.ctl("put", "/a", "2");
    // What the leader says arrives: it is followed. What it is asked does not: no linearizable read.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect((await follower.status()).leaderId).toBe(memberId);
    expect(await valueAt(follower, "/a", "--consistency=s")).toBe("2");
    await expect(valueAt(follower, "/a", "--command-timeout=1s")).rejects.toThrow("deadline exceeded");
    cluster.heal();
    await eventually(async () => (await valueAt(follower, "/a")) === "2", { timeoutMs: 10_000 });
    cluster.cut(leader, follower);
    await eventually(async () => (await follower.status()).leaderId !== memberId, { timeoutMs: 10_000 });
  });
});

describe("EtcdCluster", () => {
  it("refuses a size that no cluster has", async () => {
    await expect(EtcdCluster.start({ members: 0 })).rejects.toThrow(
      "members must be a whole number of at least 1, got 0",
    );
    await expect(EtcdCluster.start({ members: 1.5 })).rejects.toThrow("got 1.5");
  });

  it("shows etcd's log when it does not start, and leaves nothing running", async () => {
    await expect(EtcdCluster.start({ members: 2, args: ["--no-such-flag"] })).rejects.toThrow("no-such-flag");
  });
});

async function valueAt(member: EtcdProcess, key: string, ...args: readonly string[]): Promise<string> {
  return (await member.ctl("get", key, "--print-value-only", ...args)).trim();
}
