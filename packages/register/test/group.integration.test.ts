import { fileURLToPath } from "node:url";
import { createClient, type EtcdClient, type KeyValue, prefixRange } from "@sd/core";
import { EtcdProcess, eventually, FaultProxy, leakCheck, oldestAndNewestEtcd, startNode } from "@sd/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type InstanceGroup, registerAll, startAllRegistrations } from "../src/index.js";

const TTL = 5;
const COUNT = 1_500;
const program = fileURLToPath(new URL("./group-process.mjs", import.meta.url));

describe.each(oldestAndNewestEtcd())("a group of registrations on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let proxy: FaultProxy;
  let client: EtcdClient;
  /** What the tests look at etcd with. */
  let observer: EtcdClient;
  let leaks: ReturnType<typeof leakCheck>;
  /** A service of its own for each test. */
  let service = "";

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
  });
  afterAll(() => etcd[Symbol.asyncDispose]());
  beforeEach(async ({ task }) => {
    service = task.id;
    leaks = leakCheck({ ignore: /etcd-process/ });
    proxy = await FaultProxy.start({ target: etcd.endpoint });
    client = createClient({ endpoints: [proxy.endpoint] });
    observer = createClient({ endpoints: [etcd.endpoint] });
  });
  afterEach(async () => {
    await Promise.all([client.close(), observer.close()]);
    await proxy[Symbol.asyncDispose]();
    await leaks.assertClean({ withinMs: 3_000 });
  });

  const options = () => ({
    ttlSeconds: TTL,
    instances: Array.from({ length: COUNT }, (_, index) => ({
      service,
      id: `node-${index}`,
      address: `host-${index}:80`,
    })),
  });
  const all = async (): Promise<Map<string, KeyValue>> => {
    const { kvs } = await observer.transport.range(prefixRange(Buffer.from(`/${service}/`)));
    return new Map(kvs.map((kv) => [Buffer.from(kv.key).toString(), kv]));
  };
  const leasesOf = (kvs: Map<string, KeyValue>): Set<bigint> =>
    new Set([...kvs.values()].map(({ lease }) => lease));
  /** What each says is what etcd holds. */
  async function expectTrue(group: InstanceGroup): Promise<void> {
    const held = await all();
    for (const { key, state } of group.registrations) {
      const kv = held.get(key);
      expect(state).toEqual({ status: "registered", leaseId: kv?.lease, revision: kv?.modRevision });
    }
  }

  it("has all its keys on two leases, updates them, and takes all away at once by close() (R1, R3, R9, R11)", async () => {
    const group = await registerAll(client, options());
    await expectTrue(group);
    expect(leasesOf(await all()).size).toBe(2);
    await Promise.all(group.registrations.map((registration) => registration.update({ weight: 5 })));
    await expectTrue(group);
    expect([...(await all()).values()].every(({ version }) => version === 2)).toBe(true);
    expect(await group.registrations[3]?.close()).toMatchObject({ confirmed: true });
    expect((await all()).size).toBe(COUNT - 1);
    expect(await group.close()).toMatchObject({ confirmed: true });
    expect((await all()).size).toBe(0);
  });

  it("keeps away what one of it has left, as long as the others hold the lease (R9)", async () => {
    const group = await registerAll(client, options());
    const key = `/${service}/node-3`;
    const lease = (await all()).get(key)?.lease ?? 0n;
    expect(await group.registrations[3]?.close()).toMatchObject({ confirmed: true });
    for (let times = 0; times < 2; times += 1) {
      await etcd.ctl("put", `--lease=${lease.toString(16)}`, key, "late:1");
      await eventually(async () => !(await all()).has(key), { timeoutMs: 3_000 });
    }
    await etcd.ctl("put", key, "other:1");
    await pause(1_500);
    expect((await all()).get(key), "another's (R3)").toMatchObject({ lease: 0n, version: 1 });
    expect(group.registered).toBe(COUNT - 1);
    await etcd.ctl("del", key);
  });

  it("survives a kill -9 of etcd longer than the TTL without a write (R14, F2)", async () => {
    const group = await registerAll(client, options());
    const before = await all();
    await etcd.kill();
    await pause(2 * TTL * 1_000);
    expect(group.registered, "nothing is claimed (R10)").toBe(0);
    await etcd.restart();
    await eventually(() => group.state.status === "registered", { timeoutMs: 8_000 });
    await pause(TTL * 1_000 + 1_500);
    await expectTrue(group);
    const after = await all();
    for (const [key, { modRevision }] of before) expect(after.get(key)?.modRevision).toBe(modRevision);
  });

  it("is back, all of it, after it was cut off longer than its TTL (R13, F5)", async () => {
    const group = await registerAll(client, options());
    proxy.refuse();
    proxy.reset();
    await eventually(async () => (await all()).size === 0, { timeoutMs: (TTL + 5) * 1_000 });
    proxy.pass();
    await eventually(() => group.state.status === "registered", { timeoutMs: 10_000 });
    await expectTrue(group);
    expect(leasesOf(await all()).size).toBe(2);
  });

  it("leaves a foreign key alone, and enters when it is free (R2, R7, F26)", async () => {
    const key = `/${service}/node-7`;
    await etcd.ctl("put", key, "other:1");
    const group = startAllRegistrations(client, options());
    await eventually(() => group.registered === COUNT - 1);
    expect((await all()).get(key)).toMatchObject({ version: 1, lease: 0n });
    await etcd.ctl("del", key);
    await eventually(() => group.state.status === "registered", { timeoutMs: 3_000 });
    await expectTrue(group);
  });

  it("brings back what is deleted from outside: one key, all keys, a lease (R8, F44, F45)", async () => {
    const group = await registerAll(client, options());
    // What comes before the watch stands is seen as well, a little later.
    await etcd.ctl("del", `/${service}/node-7`);
    await eventually(() => group.registered < COUNT);
    await eventually(() => group.registered === COUNT, { timeoutMs: 3_000 });
    await expectTrue(group);
    await etcd.ctl("del", "--prefix", `/${service}/`);
    await eventually(() => group.registered < COUNT);
    await eventually(() => group.registered === COUNT, { timeoutMs: 5_000 });
    await expectTrue(group);
    const [lease = 0n] = leasesOf(await all());
    await etcd.ctl("lease", "revoke", lease.toString(16));
    await eventually(() => group.registered < COUNT);
    await eventually(() => group.registered === COUNT, { timeoutMs: 5_000 });
    await expectTrue(group);
  });

  it("is gone within its TTL, all of it, when its process is killed (R9, F22)", async () => {
    const child = startNode(program, [etcd.endpoint, service, String(TTL)]);
    await child.waitForLine("registered", { timeoutMs: 20_000 });
    expect((await all()).size).toBe(200);
    child.signal("SIGKILL");
    await child.exited;
    await eventually(async () => (await all()).size === 0, { timeoutMs: (TTL + 1) * 1_000 });
  });
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
