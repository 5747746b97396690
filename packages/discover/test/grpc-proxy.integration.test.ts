import { createClient, type EtcdClient } from "@sd/core";
import { EtcdProcess, eventually, GrpcProxy, leakCheck, oldestAndNewestEtcd } from "@sd/testing";
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
});
