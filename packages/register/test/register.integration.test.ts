import { createClient, type EtcdClient } from "@sd/core";
import { EtcdProcess, eventually, FaultProxy, leakCheck, oldestAndNewestEtcd } from "@sd/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { register, registerKey, startKeyRegistration } from "../src/index.js";

const TTL = 5;

describe.each(oldestAndNewestEtcd())("registration on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let proxy: FaultProxy;
  let client: EtcdClient;
  let leaks: ReturnType<typeof leakCheck>;
  /** A key of its own for each test. */
  let key = "";

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  beforeEach(async ({ task }) => {
    key = `/${task.id}/node1`;
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

  it("writes a key that another client reads, and takes it away at once by close() (R1, R3)", async () => {
    const registration = await register(client, {
      service: "web",
      id: key.split("/")[1] ?? "",
      address: "localhost:8000",
      ttlSeconds: TTL,
    });
    expect(await read(etcd, registration.key)).toMatchObject({ value: "localhost:8000", version: 1 });
    await registration.update({ weight: 5 });
    expect(await read(etcd, registration.key)).toMatchObject({
      value: '{"address":"localhost:8000","weight":5}',
      version: 2,
    });
    const startedAt = performance.now();
    expect(await registration.close()).toMatchObject({ confirmed: true });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(await read(etcd, registration.key)).toBeUndefined();
  });

  it.each([
    { outage: "shorter", seconds: 2 },
    { outage: "longer", seconds: 12 },
  ])("survives a restart of etcd $outage than the TTL without a write (R14, F1, F2)", async ({ seconds }) => {
    await using registration = await registerKey(client, { key, value: "a:1", ttlSeconds: TTL });
    const before = await read(etcd, key);
    const history = await etcd.ctl("get", key, "-w", "fields");
    await etcd.kill();
    await pause(seconds * 1_000);
    // While the lease cannot be proved, no registration is claimed (R10).
    expect(registration.state.status).toBe(seconds > TTL ? "lost" : "registered");
    await etcd.restart();
    await eventually(() => registration.state.status === "registered", { timeoutMs: 6_000 });
    // Long enough for a lease that nobody renews to end.
    await pause(TTL * 1_000 + 1_500);
    expect(await read(etcd, key)).toEqual(before);
    expect(registration.state.status).toBe("registered");
    expect(history).toContain('"Version" : 1');
  });

  it("takes a hundred updates in a row, each in a round trip or two (R11)", async () => {
    await using registration = await registerKey(client, { key, value: "v0", ttlSeconds: TTL });
    const before = await read(etcd, key);
    for (let update = 1; update <= 100; update++) await registration.update(`v${update}`);
    expect(registration.state).toMatchObject({ status: "registered" });
    expect(await read(etcd, key)).toMatchObject({
      ...before,
      value: "v100",
      version: 101,
      modRevision: expect.any(Number),
    });
  }, 20_000);

  it("is back within a second after the lease was revoked from outside (R8, F44)", async () => {
    await using registration = await registerKey(client, { key, value: "a:1", ttlSeconds: TTL });
    const before = await read(etcd, key);
    await etcd.ctl("lease", "revoke", BigInt(before?.lease ?? 0).toString(16));
    await eventually(async () => (await read(etcd, key)) !== undefined, { timeoutMs: 1_200 });
    const after = await read(etcd, key);
    expect(after?.lease).not.toBe(before?.lease);
    expect(after?.version).toBe(1);
    expect(registration.state.status).toBe("registered");
  });

  it("is back within a second, under the same lease, after the key was deleted from outside (R8, F45)", async () => {
    await using registration = await registerKey(client, { key, value: "a:1", ttlSeconds: TTL });
    const before = await read(etcd, key);
    await etcd.ctl("del", key);
    await eventually(async () => (await read(etcd, key)) !== undefined, { timeoutMs: 1_200 });
    expect((await read(etcd, key))?.lease).toBe(before?.lease);
    expect(registration.state.status).toBe("registered");
  });

  it("takes over at once from a predecessor with the same value, which then yields (F27)", async () => {
    await using oldClient = createClient({ endpoints: [etcd.endpoint] });
    const old = await registerKey(oldClient, { key, value: "a:1", ttlSeconds: TTL });
    const successor = await registerKey(client, { key, value: "a:1", ttlSeconds: TTL });
    await eventually(() => old.state.status === "conflict");
    const taken = await read(etcd, key);
    await old.close();
    expect(await read(etcd, key), "not touched by the close of the old one").toEqual(taken);
    expect(successor.state.status).toBe("registered");
    await successor.close();
  });

  it("waits for another owner's key and enters when it is free (R2, F26)", async () => {
    await using otherClient = createClient({ endpoints: [etcd.endpoint] });
    const other = await registerKey(otherClient, { key, value: "a:1", ttlSeconds: TTL });
    const ours = startKeyRegistration(client, { key, value: "b:2", ttlSeconds: TTL });
    await eventually(() => ours.state.status === "conflict");
    expect(await read(etcd, key)).toMatchObject({ value: "a:1", version: 1 });
    await other.close();
    await eventually(() => ours.state.status === "registered");
    expect(await read(etcd, key)).toMatchObject({ value: "b:2" });
    await ours.close();
  });

  it("closes in bounded time while etcd is frozen, and the key goes by its TTL (R9, F24)", async () => {
    const registration = await registerKey(client, {
      key,
      value: "a:1",
      ttlSeconds: TTL,
      closeTimeoutMs: 1_000,
    });
    await etcd.freeze();
    const startedAt = performance.now();
    expect(await registration.close()).toMatchObject({ confirmed: false });
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    etcd.thaw();
    await eventually(async () => (await read(etcd, key)) === undefined, { timeoutMs: TTL * 1_000 + 2_500 });
  });

  it("keeps its registration over a black-holed link shorter than the TTL allows (F31)", async () => {
    await using second = await FaultProxy.start({ target: etcd.endpoint });
    await using twoWays = createClient({ endpoints: [proxy.endpoint, second.endpoint] });
    await using registration = await registerKey(twoWays, { key, value: "a:1", ttlSeconds: 9 });
    const before = await read(etcd, key);
    for (const link of [proxy, second]) {
      link.blackhole();
      await pause(10_000);
      link.pass();
      link.reset();
    }
    expect(registration.state.status).toBe("registered");
    expect(await read(etcd, key)).toEqual(before);
  });

  it("registers at last when etcd is down at the start (R13)", async () => {
    proxy.refuse();
    await using registration = startKeyRegistration(client, { key, value: "a:1", ttlSeconds: TTL });
    await eventually(
      () => registration.state.status === "registering" && registration.state.error !== undefined,
    );
    proxy.pass();
    await registration.ready();
    expect(await read(etcd, key)).toMatchObject({ value: "a:1" });
  });
});

interface Stored {
  readonly value: string;
  readonly lease: string | number;
  readonly version: number;
  readonly createRevision: number;
  readonly modRevision: number;
}

/** What etcdctl reads at a key, past the proxy. */
async function read(etcd: EtcdProcess, key: string): Promise<Stored | undefined> {
  const fields = await etcd.ctl("get", key, "-w", "fields");
  const field = (name: string): string | undefined => new RegExp(`^"${name}" : (.*)$`, "m").exec(fields)?.[1];
  const value = field("Value");
  if (value === undefined) return undefined;
  return {
    value: JSON.parse(value),
    lease: field("Lease") ?? "",
    version: Number(field("Version")),
    createRevision: Number(field("CreateRevision")),
    modRevision: Number(field("ModRevision")),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
