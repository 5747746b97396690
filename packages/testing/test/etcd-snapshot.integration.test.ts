import { beforeEach, describe, expect, it } from "vitest";
import { EtcdCluster, EtcdProcess, oldestAndNewestEtcd } from "../src/index.js";

describe.each(oldestAndNewestEtcd())("a snapshot of $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let snapshot: Uint8Array;
  const value = async (from: EtcdProcess = etcd) =>
    (await from.ctl("get", "/a", "--print-value-only")).trim();

  beforeEach(async () => {
    etcd = await EtcdProcess.start({ binary });
    await etcd.ctl("put", "/a", "then");
    snapshot = await etcd.snapshot();
    for (let count = 1; count <= 5; count += 1) await etcd.ctl("put", "/a", `later ${count}`);
    return () => etcd[Symbol.asyncDispose]();
  });

  it("is restored only while etcd is down, and one that is none is refused", async () => {
    await expect(etcd.restore(snapshot)).rejects.toThrow("etcd runs");
    await using other = await EtcdProcess.start({ binary });
    await other.stop();
    await expect(other.restore(Buffer.alloc(512 * 40 + 32))).rejects.toThrow("expected sha256");
  });

  it("brings back a lower revision, in the same cluster", async () => {
    const before = await etcd.status();
    expect(before.revision).toBe(7);
    await etcd.kill();
    await etcd.restore(snapshot);
    await etcd.restart();
    const { clusterId, memberId, revision } = await etcd.status();
    expect({ clusterId, memberId }).toEqual({ clusterId: before.clusterId, memberId: before.memberId });
    expect([revision, await value()]).toEqual([2, "then"]);
  });

  it("brings back the same in another cluster, if told another token", async () => {
    const before = await etcd.status();
    await etcd.stop();
    await etcd.restore(snapshot, { token: "another" });
    await etcd.restart();
    const { clusterId, memberId, revision } = await etcd.status();
    expect(clusterId).not.toBe(before.clusterId);
    expect(memberId).not.toBe(before.memberId);
    expect([revision, await value()]).toEqual([2, "then"]);
  });

  it("is another etcd's too", async () => {
    await using other = await EtcdProcess.start({ binary });
    await other.stop();
    await other.restore(snapshot);
    await other.restart();
    expect(await value(other)).toBe("then");
  });

  it("goes on above the lost revisions, which are compacted, if told so; 3.4 says that it cannot", async () => {
    await etcd.stop();
    const restored = etcd.restore(snapshot, { bumpRevision: 1_000 });
    if (etcd.version.startsWith("3.4.")) {
      await expect(restored).rejects.toThrow(/bumpRevision must be left out for etcd 3\.4.*got 1000/);
      await etcd.restart();
      expect(await value(), "its data are as they were").toBe("later 5");
      return;
    }
    await restored;
    await etcd.restart();
    expect((await etcd.status()).revision).toBe(1_002);
    expect(await value()).toBe("then");
    await expect(etcd.ctl("get", "/a", "--rev=7")).rejects.toThrow("has been compacted");
  });
});

// One version: what differs between versions is the tool, which is tested above.
describe("a snapshot of an EtcdCluster", () => {
  it("is restored to all members, as another cluster", async () => {
    await using cluster = await EtcdCluster.start();
    const [first, , last] = cluster.members as [EtcdProcess, EtcdProcess, EtcdProcess];
    await first.ctl("put", "/a", "then");
    const snapshot = await cluster.snapshot();
    await first.ctl("put", "/a", "later");
    const before = await first.status();
    await cluster.stop();
    await cluster.restore(snapshot, { token: "another" });
    await cluster.restart();
    const statuses = await Promise.all(cluster.members.map((member) => member.status()));
    expect(new Set(statuses.map(({ clusterId }) => clusterId)).size).toBe(1);
    expect(statuses[0]?.clusterId).not.toBe(before.clusterId);
    expect(await last.ctl("get", "/a", "--print-value-only")).toBe("then\n");
    await cluster.kill();
    await cluster.wipe();
    await cluster.restart();
    expect((await last.status()).revision).toBe(1);
    expect((await last.status()).clusterId).toBe(before.clusterId);
  });
});
