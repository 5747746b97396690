import { createClient, type EtcdClient, SdError, type WatchResponse } from "@sd/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type EtcdBinary,
  eventually,
  leakCheck,
  oldestAndNewestEtcd,
  type StartEtcdOptions,
  startEtcd,
  type TestEtcd,
} from "../src/index.js";

const key = Buffer.from("/web/node1");
const memory: StartEtcdOptions & Pick<EtcdBinary, "name"> = { name: "MemoryEtcd" };

describe.each([memory, ...oldestAndNewestEtcd()])("startEtcd: $name", ({ binary }) => {
  let etcd: TestEtcd;
  let client: EtcdClient;

  beforeEach(async () => {
    const leaks = leakCheck({ ignore: /watchdog/ });
    etcd = await startEtcd(binary === undefined ? {} : { binary });
    client = createClient({ endpoints: etcd.endpoints });
    return async () => {
      await client.close();
      await etcd.close();
      await etcd.close();
      await leaks.assertClean({ withinMs: 5_000 });
    };
  });

  const codeOf = (error: unknown): string => (SdError.is(error) ? error.code : String(error));

  it("reads, writes and deletes keys, as a client does that comes by the endpoints", async () => {
    expect(await etcd.put("/web/node1", "localhost:8000")).toBe(2);
    const { kvs } = await client.transport.range({ key });
    expect(kvs.map(({ value }) => `${Buffer.from(value)}`)).toEqual(["localhost:8000"]);
    await etcd.put("/webbing", "");
    expect(await etcd.list("/web/")).toEqual({ "/web/node1": "localhost:8000" });
    expect(await etcd.list()).toEqual({ "/web/node1": "localhost:8000", "/webbing": "" });
    expect(await etcd.delete("/web/node1")).toBe(4);
    expect(await etcd.delete("/web/node1")).toBe(4);
    expect([await etcd.get("/web/node1"), await etcd.get("/webbing"), await etcd.revision()]).toEqual([
      undefined,
      "",
      4,
    ]);
  });

  it("expires a lease by its id or one of its keys", async () => {
    const lease = await client.leases.grant({ ttlSeconds: 60 });
    await etcd.put("/web/node1", "localhost:8000", { ttlSeconds: 60 });
    await etcd.put("/plain", "");
    await etcd.expireLease("/web/node1");
    expect(await etcd.list()).toEqual({ "/plain": "" });
    await etcd.expireLease(lease.id);
    await expect(etcd.expireLease(lease.id)).rejects.toMatchObject({ code: "SD_LEASE_LOST" });
    for (const key of ["/plain", "/absent"]) {
      await expect(etcd.expireLease(key)).rejects.toThrow(
        `the key of expireLease() must be bound to a lease, got "${key}"`,
      );
    }
  });

  it("compacts all history, or what is before a revision", async () => {
    for (const value of ["1", "2", "3"]) await etcd.put("/web/node1", value);
    const at = (revision: number) =>
      client.transport.range({ key, revision }).then(({ kvs }) => kvs.length, codeOf);
    await etcd.compact(3);
    expect([await at(2), await at(3)]).toEqual(["SD_COMPACTED", 1]);
    await etcd.compact();
    expect([await at(3), await at(4)]).toEqual(["SD_COMPACTED", 1]);
  });

  it("cuts connections, which may come again", async () => {
    const messages: WatchResponse[] = [];
    let end: unknown;
    const stream = await client.transport.watch({
      onMessage: (message) => messages.push(message),
      onEnd: (error) => {
        end = error;
      },
    });
    stream.send({ type: "create", watchId: 1, key, startRevision: 1 });
    await eventually(() => messages.length === 1);
    etcd.cut();
    await eventually(() => end !== undefined);
    await eventually(() => client.transport.range({ key }));
  });

  it("freezes and thaws, dies and comes back with its data, and loses them", async () => {
    const read = (): Promise<number | string> =>
      client.transport.range({ key }, { timeoutMs: 1_000 }).then(({ kvs }) => kvs.length, codeOf);
    await etcd.put("/web/node1", "localhost:8000");
    await etcd.freeze();
    expect(await read()).toBe("SD_UNAVAILABLE");
    etcd.thaw();
    await eventually(async () => (await read()) === 1);
    await etcd.kill();
    expect(await read()).toBe("SD_UNAVAILABLE");
    await etcd.restart();
    await etcd.restart();
    await eventually(async () => (await read()) === 1);
    await etcd.wipe();
    await eventually(async () => (await read()) === 0);
    expect(await etcd.revision()).toBe(1);
  });

  it("is put behind a proxy with faults", async () => {
    etcd.proxy.blackhole();
    const range = client.transport.range({ key }, { timeoutMs: 500 });
    await expect(range).rejects.toMatchObject({ code: "SD_UNAVAILABLE" });
    expect(await etcd.get("/web/node1")).toBe(undefined);
    etcd.proxy.pass();
    await eventually(() => client.transport.range({ key }));
  });
});

describe("startEtcd", () => {
  let etcd: TestEtcd | undefined;
  afterEach(() => etcd?.close());

  it("gives what only the one in memory has, or what only a real one has", async () => {
    etcd = await startEtcd({ memory: { version: "3.4.23" } });
    expect([etcd.version, etcd.isReal, etcd.memory.revision]).toEqual(["3.4.23", false, 1]);
    expect(() => etcd?.process).toThrow("startEtcd({ real: true })");
    await etcd.close();
    etcd = await startEtcd({ real: true });
    expect([etcd.isReal, etcd.process.version]).toEqual([true, etcd.version]);
    expect(() => etcd?.memory).toThrow("not in memory");
  });

  it("refuses options that contradict each other", async () => {
    const options: [StartEtcdOptions, string][] = [
      [{ real: true, memory: {} }, "memory must be left out for a real etcd"],
      [{ binary: "etcd", memory: {} }, "memory must be left out for a real etcd"],
      [{ real: false, binary: "etcd" }, 'binary must be left out for an etcd in memory, got "etcd"'],
    ];
    for (const [each, message] of options) await expect(startEtcd(each)).rejects.toThrow(message);
  });
});
