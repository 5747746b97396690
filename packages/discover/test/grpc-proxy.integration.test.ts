import { createClient, type EtcdClient } from "@sd/core";
import {
  EtcdProcess,
  eventually,
  FaultProxy,
  GrpcProxy,
  leakCheck,
  oldestAndNewestEtcd,
  recordChanges,
} from "@sd/testing";
import "@sd/testing/vitest";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { discoverPrefix } from "../src/index.js";

describe.each(oldestAndNewestEtcd())("discovery behind the grpc-proxy of $name (F38)", ({ binary }) => {
  let etcd: EtcdProcess;
  let proxy: GrpcProxy;
  let client: EtcdClient;
  let leaks: ReturnType<typeof leakCheck>;

  beforeEach(async () => {
    leaks = leakCheck();
    etcd = await EtcdProcess.start({ binary });
    proxy = await GrpcProxy.start({ binary, target: etcd.endpoint });
    client = createClient({ endpoints: [proxy.endpoint] });
  });
  afterEach(async () => {
    await client.close();
    expect(proxy.isRunning, proxy.log()).toBe(true);
    await proxy.close();
    await etcd[Symbol.asyncDispose]();
    await leaks.assertClean({ withinMs: 3_000 });
  });

  const ids = ({
    snapshot,
  }: {
    readonly snapshot: { readonly instances: readonly { readonly key: string }[] };
  }) => snapshot.instances.map(({ key }) => key).sort();

  it("hears each of several watches, also of equal prefixes, and stays live in silence", async () => {
    const prefixes = ["/a/", "/b/", "/a/", "/c/"];
    const all = await Promise.all(
      prefixes.map((prefix) => discoverPrefix(client, prefix, { timeoutMs: 20_000 })),
    );
    const statuses: string[] = [];
    for (const each of all) each.subscribe(({ status }) => statuses.push(status));
    for (const prefix of ["/a/", "/b/", "/c/"]) await etcd.ctl("put", `${prefix}1`, "x");
    await eventually(() => all.every((each) => ids(each).length === 1), { timeoutMs: 10_000 });
    expect(all.map(ids)).toEqual([["/a/1"], ["/b/1"], ["/a/1"], ["/c/1"]]);
    // Longer than any silence that is believed in.
    await new Promise((resolve) => setTimeout(resolve, 16_000));
    await etcd.ctl("put", "/a/2", "x");
    await eventually(() => all.filter((each) => ids(each).length === 2).length === 2, { timeoutMs: 5_000 });
    expect(statuses).toEqual([]);
    expect(all.map(({ snapshot }) => snapshot.epoch)).toEqual([1, 1, 1, 1]);
    await Promise.all(all.map((each) => each.close()));
  });

  it("notices that etcd behind it does not answer, and goes on when it does (D16)", async () => {
    await using keys = await discoverPrefix(client, "/a/", { timeoutMs: 20_000 });
    await etcd.freeze();
    await eventually(() => keys.state.status === "stale", { timeoutMs: 20_000 });
    etcd.thaw();
    await eventually(() => keys.state.status === "live", { timeoutMs: 20_000 });
    await etcd.ctl("put", "/a/1", "x");
    await eventually(() => ids(keys).length === 1, { timeoutMs: 10_000 });
    expect(keys.snapshot.epoch).toBe(1);
  });

  // It may say `live` a moment before: no answer of the proxy proves that its watch has caught up.
  it("tells once what was written while it was cut off from the proxy (D3, D16)", async () => {
    await using front = await FaultProxy.start({ target: proxy.endpoint });
    await using behind = createClient({ endpoints: [front.endpoint] });
    await using writer = createClient({ endpoints: [etcd.endpoint] });
    const { id: lease } = await writer.leases.grant({ ttlSeconds: 600 });
    const write = (index: number): Promise<unknown> => {
      const put = { type: "put", key: Buffer.from(`/a/${index}`), value: Buffer.from("x"), lease } as const;
      return writer.transport.txn({ compare: [], success: [put], failure: [] });
    };
    await using keys = await discoverPrefix(behind, "/a/", { timeoutMs: 20_000 });
    using changes = recordChanges(keys);
    for (const count of [1_500, 3_000]) {
      front.refuse();
      front.reset();
      await eventually(() => keys.state.status === "stale", { timeoutMs: 20_000 });
      await Promise.all(Array.from({ length: 1_500 }, (_, index) => write(count - 1 - index)));
      front.pass();
      await eventually(() => keys.state.status === "live", { timeoutMs: 20_000 });
      await eventually(() => keys.snapshot.instances.length === count);
    }
    expect(changes.log).toHaveLength(3_000);
    expect(changes).toBeConsistent();
    expect(keys.snapshot.epoch).toBe(1);
  }, 60_000);
});
