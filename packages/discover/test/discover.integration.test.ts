import { createClient, type EtcdClient } from "@sd/core";
import { EtcdProcess, etcdBinaries, eventually, FaultProxy, leakCheck } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Change, discover, discoverPrefix, type Entry, startDiscovery } from "../src/index.js";

/** More than a busy machine needs. */
const patience = { withinMs: 10_000 };

describe.each(etcdBinaries())("discovery on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let proxy: FaultProxy;
  let client: EtcdClient;
  let leaks: ReturnType<typeof leakCheck>;
  /** A service of its own for each test. */
  let service = "";

  const put = (id: string, value: string): Promise<string> => etcd.ctl("put", `/${service}/${id}`, value);
  const revision = async (): Promise<number> =>
    (await client.transport.range({ key: Buffer.from("x"), limit: 1 })).header.revision;

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  beforeEach(async ({ task }) => {
    service = `svc-${task.id}`;
    leaks = leakCheck({ ignore: /etcd-process/ });
    proxy = await FaultProxy.start({ target: etcd.endpoint });
    client = createClient({ endpoints: [proxy.endpoint] });
  });
  afterEach(async () => {
    etcd.thaw();
    await client.close();
    await proxy[Symbol.asyncDispose]();
    await leaks.assertClean({ withinMs: 3_000 });
  });

  it("reads what another client writes, and sees its changes", async () => {
    await put("a", "localhost:8000");
    await using web = await discover(client, { service });
    expect(web.snapshot.instances.map(({ id, host, port }) => [id, host, port])).toEqual([
      ["a", "localhost", 8000],
    ]);
    await put("b", '{"address":"localhost:8001","weight":3,"unknown":{"field":1}}');
    await expect(web).toConverge(["a", "b"], patience);
    expect(web.snapshot.instances[1]).toMatchObject({ id: "b", port: 8001, weight: 3 });
    expect(web.snapshot.instances[1]).not.toHaveProperty("unknown");
    await etcd.ctl("del", `/${service}/a`);
    await expect(web).toConverge(["b"], patience);
    expect(web.pick().id).toBe("b");
  });

  it("isolates values that cannot be read (D13)", async () => {
    await put("good", "localhost:8000");
    const bad: Record<string, string> = {
      "no-port": "localhost",
      "port-zero": "localhost:0",
      "port-large": "localhost:70000",
      "not-json": '{"address":',
      "no-address": '{"weight":1}',
      "bad-weight": '{"address":"localhost:1","weight":1e400}',
      "wrong-type": '{"address":["localhost:1"]}',
      deep: `{"address":"localhost:1","x":${"[".repeat(10_000)}${"]".repeat(10_000)}}`,
      "a/b": "localhost:8001",
    };
    for (const [id, value] of Object.entries(bad)) await put(id, value);
    await using web = await discover(client, { service });
    expect(web.snapshot.instances.map(({ id }) => id)).toEqual(["good"]);
    expect(web.rejected.size).toBe(Object.keys(bad).length);
    await put("no-port", "localhost:8002");
    await expect(web).toConverge(["good", "no-port"], patience);
  });

  it("picks on from what it knows while etcd is frozen, and says that it is stale (D10, D16, F4)", async () => {
    await put("a", "localhost:8000");
    await using web = await discover(client, { service });
    await etcd.freeze();
    await eventually(
      () => {
        expect(web.pick().id).toBe("a");
        return web.state.status === "stale";
      },
      { timeoutMs: 15_000 },
    );
    expect(web.snapshot.instances).toHaveLength(1);
    etcd.thaw();
    await expect(web).toReach("live", { withinMs: 6_000 });
    await put("b", "localhost:8001");
    await expect(web).toConverge(["a", "b"], patience);
  });

  it("lists again after a compaction while cut off, with the missing deletes and last known values (D7)", async () => {
    await put("stays", "localhost:1");
    await put("goes", "localhost:2");
    await using keys = await discoverPrefix(client, `/${service}/`);
    const seen: Change<Entry>[] = [];
    const sizes: number[] = [];
    keys.onChanges((changes) => {
      seen.push(...changes);
      sizes.push(keys.snapshot.instances.length);
    });
    proxy.refuse();
    proxy.reset();
    await expect(keys).toReach("stale", patience);
    await etcd.ctl("del", `/${service}/goes`);
    await put("comes", "localhost:3");
    await etcd.compact(await directRevision(etcd));
    proxy.pass();
    await eventually(() => seen.length >= 2, { timeoutMs: 10_000 });
    expect(seen.map(({ type, instance }) => `${type} ${instance.key} ${instance.value}`).toSorted()).toEqual([
      `added /${service}/comes localhost:3`,
      `removed /${service}/goes localhost:2`,
    ]);
    expect(sizes, "never empty in between (D11)").toEqual([2]);
    expect(keys.snapshot.epoch).toBe(1);
    await expect(keys).toReach("live", patience);
  });

  it("waits for an etcd that is down at the start (D17)", async () => {
    proxy.refuse();
    const web = startDiscovery(client, { service });
    await eventually(() => web.state.status === "syncing" && web.state.error !== undefined);
    proxy.pass();
    await web.ready();
    expect(web.state).toEqual({ status: "live" });
    await web.close();
  });

  it("lists 10,000 keys and follows them", async () => {
    const lease = await client.leases.grant({ ttlSeconds: 600 });
    for (let from = 0; from < 10_000; from += 100) {
      const success = Array.from({ length: 100 }, (_, offset) => ({
        type: "put" as const,
        key: Buffer.from(`/${service}/${from + offset}`),
        value: Buffer.from(`10.0.0.1:${1 + from + offset}`),
        lease: lease.id,
      }));
      await client.transport.txn({ compare: [], success, failure: [] });
    }
    await using web = await discover(client, { service });
    expect(web.snapshot.instances).toHaveLength(10_000);
    expect(web.snapshot.revision).toBe(await revision());
    await lease.revoke();
    await expect(web).toConverge([], patience);
  });

  it("does not mix services whose names begin alike (F75)", async () => {
    await put("a", "localhost:1");
    await etcd.ctl("put", `/${service}-admin/a`, "localhost:2");
    await using web = await discover(client, { service });
    expect(web.snapshot.instances.map(({ port }) => port)).toEqual([1]);
  });

  it("sees a new epoch after etcd was wiped and restarted at a lower revision (D8, F6)", async () => {
    await using own = await EtcdProcess.start({ binary });
    await own.ctl("put", "/x/junk", "1");
    await own.ctl("put", "/x/old", "localhost:1");
    await using ownClient = createClient({ endpoints: [own.endpoint] });
    await using keys = await discoverPrefix(ownClient, "/x/", { graceMs: 0 });
    expect(keys.snapshot.epoch).toBe(1);
    await own.kill();
    await own.wipe();
    await own.restart();
    await own.ctl("put", "/x/new", "localhost:2");
    await eventually(() => keys.snapshot.epoch === 2, { timeoutMs: 15_000 });
    expect(keys.snapshot.instances.map(({ key }) => key)).toEqual(["/x/new"]);
  });
});

/** Past the proxy. */
async function directRevision(etcd: EtcdProcess): Promise<number> {
  const answer = JSON.parse(await etcd.ctl("get", "x", "-w", "json"));
  return answer.header.revision;
}
