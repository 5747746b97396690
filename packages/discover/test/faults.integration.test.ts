import { createClient } from "@sd/core";
import { type EtcdBinary, oldestAndNewestEtcd, recordChanges, startEtcd, type TestEtcd } from "@sd/testing";
import "@sd/testing/vitest";
import { describe, expect, it } from "vitest";
import { discover } from "../src/index.js";

/** What happens to etcd, or to the way there, while instances come and go. */
const faults: Readonly<Record<string, (etcd: TestEtcd) => Promise<void> | void>> = {
  "its connections break": (etcd) => etcd.cut(),
  "nobody gets in, and history is compacted": async (etcd) => {
    etcd.proxy.refuse();
    etcd.cut();
    await etcd.delete("/web/0");
    await etcd.compact();
  },
  "each connection breaks after some bytes": (etcd) => etcd.proxy.resetAfterBytes(40),
  "connections are half closed": (etcd) => etcd.proxy.halfClose("down"),
  "the link is slow and uneven": (etcd) => {
    etcd.proxy.jitter(30);
    etcd.proxy.limitBandwidth(4_000);
  },
  "bytes come one by one": (etcd) => etcd.proxy.slice(),
  "it is killed and comes back": async (etcd) => {
    await etcd.kill();
    await etcd.restart();
  },
};

const memory: Pick<EtcdBinary, "name"> & Partial<EtcdBinary> = { name: "MemoryEtcd" };

describe.each([memory, ...oldestAndNewestEtcd()])("discovery on $name", ({ binary }) => {
  it("converges to what etcd holds after every fault, and tells each change once and in order (D2, D3)", async () => {
    await using etcd = await startEtcd(binary === undefined ? {} : { binary });
    await using client = createClient({ endpoints: etcd.endpoints });
    for (const id of [0, 1, 2]) await etcd.put(`/web/${id}`, `localhost:800${id}`);
    // What a wiped etcd has lost is to go at once.
    const web = await discover(client, { service: "web", graceMs: 0 });
    using recorded = recordChanges(web);
    let port = 9_000;
    for (const [name, fault] of Object.entries(faults)) {
      await fault(etcd);
      port += 10;
      await etcd.put("/web/0", `localhost:${port}`, { ttlSeconds: 60 });
      await etcd.put("/web/1", `localhost:${port + 1}`);
      await etcd.delete("/web/2");
      await etcd.put("/web/2", `localhost:${port + 2}`);
      await etcd.expireLease("/web/0");
      etcd.proxy.pass();
      await expect(web, name).toConverge(etcd, { withinMs: 10_000 });
    }
    expect(web.snapshot.instances.map(({ id }) => id).sort()).toEqual(["1", "2"]);
    expect(recorded).toBeConsistent();
    await etcd.wipe();
    await etcd.put("/web/new", "localhost:1");
    await expect(web).toConverge(etcd, { withinMs: 20_000 });
    expect(recorded).toBeConsistent();
    expect([web.snapshot.epoch, recorded.keys]).toEqual([2, ["/web/new"]]);
  });
});
