import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { createClient, type EtcdClient } from "@sd/core";
import { EtcdProcess, eventually, leakCheck, oldestAndNewestEtcd } from "@sd/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { discoverPrefix } from "../src/index.js";

describe.each(oldestAndNewestEtcd())("discovery behind the grpc-proxy of $name (F38)", ({ binary }) => {
  let etcd: EtcdProcess;
  let proxy: ChildProcess;
  let client: EtcdClient;
  let leaks: ReturnType<typeof leakCheck>;

  beforeEach(async () => {
    leaks = leakCheck();
    etcd = await EtcdProcess.start({ binary });
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    // It looks for itself at the second address, and ends if it is not there (3.5.30).
    const addresses = [`--listen-addr=${address}`, `--advertise-client-url=${address}`];
    const args = ["grpc-proxy", "start", `--endpoints=${etcd.endpoint}`, ...addresses];
    proxy = spawn(binary, args, {
      stdio: "ignore",
      env: { ...process.env, ETCD_UNSUPPORTED_ARCH: process.arch },
    });
    client = createClient({ endpoints: [`http://${address}`] });
    await eventually(() => client.transport.range({ key: Buffer.from("x") }), { timeoutMs: 20_000 });
  });
  afterEach(async () => {
    await client.close();
    expect(proxy.exitCode, "the proxy runs").toBe(null);
    const exit = new Promise((resolve) => proxy.once("exit", resolve));
    proxy.kill("SIGKILL");
    await exit;
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}
