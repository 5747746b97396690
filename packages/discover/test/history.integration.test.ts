import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as pause } from "node:timers/promises";
import { createClient, type EtcdClient, type Lease } from "@sd/core";
import {
  EtcdProcess,
  eventually,
  FaultProxy,
  leakCheck,
  oldestAndNewestEtcd,
  SeededRandom,
} from "@sd/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { discoverPrefix, type PrefixDiscovery } from "../src/index.js";

const PREFIX = "/x/";

describe.each(oldestAndNewestEtcd())("the history of $name, seen by a discovery", ({ binary }) => {
  let etcd: EtcdProcess;
  let proxy: FaultProxy;
  let client: EtcdClient;
  let direct: EtcdClient;
  let lease: Lease;
  let leaks: ReturnType<typeof leakCheck>;
  let repairs: unknown[];
  const onRepair = (message: unknown): void => void repairs.push(message);

  beforeEach(async () => {
    leaks = leakCheck();
    repairs = [];
    subscribe("sd:reflector:repaired", onRepair);
    etcd = await EtcdProcess.start({ binary });
    proxy = await FaultProxy.start({ target: etcd.endpoint });
    client = createClient({ endpoints: [proxy.endpoint] });
    direct = createClient({ endpoints: [etcd.endpoint] });
    lease = await direct.leases.grant({ ttlSeconds: 600 });
  });
  afterEach(async () => {
    unsubscribe("sd:reflector:repaired", onRepair);
    await Promise.all([client.close(), direct.close()]);
    await proxy[Symbol.asyncDispose]();
    await etcd[Symbol.asyncDispose]();
    await leaks.assertClean({ withinMs: 3_000 });
  });

  /** One revision; `undefined` deletes. */
  const write = async (id: string, value?: string): Promise<number> => {
    const key = Buffer.from(`${PREFIX}${id}`);
    const { header } = await direct.transport.txn({
      compare: [],
      success: [
        value === undefined
          ? { type: "delete", key }
          : { type: "put", key, value: Buffer.from(value), lease: lease.id },
      ],
      failure: [],
    });
    return header.revision;
  };
  const ids = ({ snapshot }: PrefixDiscovery): string[] =>
    snapshot.instances.map(({ key }) => key.slice(PREFIX.length)).sort();
  const disconnect = async (keys: PrefixDiscovery): Promise<void> => {
    proxy.refuse();
    proxy.reset();
    await eventually(() => keys.state.status === "stale");
  };

  it("mends a delete that etcd loses at its compaction revision (D9, F42)", async () => {
    await write("stays", "1");
    await write("goes", "1");
    await using keys = await discoverPrefix(client, PREFIX);
    await disconnect(keys);
    await etcd.compact(await write("goes"));
    proxy.pass();
    await eventually(() => keys.state.status === "live", { timeoutMs: 10_000 });
    const resumedAt = performance.now();
    await eventually(() => ids(keys).length === 1, { timeoutMs: 10_000 });
    expect(performance.now() - resumedAt).toBeLessThan(6_000);
    expect([ids(keys), keys.snapshot.epoch, keys.state.status]).toEqual([["stays"], 1, "live"]);
    // So this etcd does lose it, and it was the comparison that told.
    if (etcd.version === "3.4.23") expect(repairs).toMatchObject([{ finding: "lost-change", repairs: 1 }]);
    else expect(repairs).toEqual([]);
  });

  it("takes a wiped etcd that has grown beyond it for another one (D8, D11, F7)", async () => {
    await write("a", "1");
    await write("b", "1");
    await using keys = await discoverPrefix(client, PREFIX, { graceMs: 4_000 });
    const { revision } = keys.snapshot;
    await disconnect(keys);
    await etcd.kill();
    await etcd.wipe();
    await etcd.restart();
    for (let index = 0; index < revision + 3; index += 1) await etcd.ctl("put", "/junk", `${index}`);
    await etcd.ctl("put", `${PREFIX}a`, "2");
    proxy.pass();
    await eventually(() => keys.snapshot.epoch === 2, { timeoutMs: 10_000 });
    expect([ids(keys), keys.retained]).toEqual([["a", "b"], new Set([`${PREFIX}b`])]);
    await eventually(() => ids(keys).length === 1, { timeoutMs: 10_000 });
    expect(keys.snapshot.instances).toMatchObject([{ key: `${PREFIX}a`, value: "2" }]);
    expect(keys.state.status).toBe("live");
  });

  it("sees another cluster at the same address by its id (D8, F8)", async () => {
    await write("a", "1");
    await using keys = await discoverPrefix(client, PREFIX, { graceMs: 0 });
    await disconnect(keys);
    await etcd.kill();
    const args = ["--initial-cluster-token=other"];
    await using other = await EtcdProcess.start({ binary, port: etcd.port, args });
    for (let index = 0; index < 10; index += 1) await other.ctl("put", `${PREFIX}z`, `${index}`);
    proxy.pass();
    await eventually(() => keys.snapshot.epoch === 2, { timeoutMs: 10_000 });
    expect(ids(keys)).toEqual(["z"]);
    await eventually(() => keys.state.status === "live");
  });

  it("is followed over cuts while it is compacted every 100 ms (D2, D7, F40)", async () => {
    await using keys = await discoverPrefix(client, PREFIX);
    const random = new SeededRandom(7);
    const replica = new Map<string, string>();
    let isInOrder = true;
    let revision = 0;
    keys.onChanges((changes, position) => {
      if (position.revision < revision || position.epoch !== 1) isInOrder = false;
      ({ revision } = position);
      for (const { type, instance } of changes) {
        if (type === "added" && replica.has(instance.key)) isInOrder = false;
        if (type !== "added" && !replica.has(instance.key)) isInOrder = false;
        if (type === "removed") replica.delete(instance.key);
        else replica.set(instance.key, instance.value);
      }
    });
    let isOver = false;
    let newest = 0;
    let compactions = 0;
    const compacting = (async () => {
      while (!isOver) {
        await pause(100);
        await etcd.compact(newest).then(
          () => compactions++,
          () => {},
        );
      }
    })();
    const until = performance.now() + 12_000;
    for (let round = 0; performance.now() < until; round += 1) {
      const id = `${Math.floor(random.next() * 30)}`;
      newest = await write(id, random.next() < 0.4 ? undefined : `${round}`);
      if (round % 150 === 149) {
        proxy.refuse();
        proxy.reset();
        await pause(random.next() * 400);
        proxy.pass();
      }
      await pause(2);
    }
    isOver = true;
    await compacting;
    const { kvs } = await direct.transport.range({
      key: Buffer.from(PREFIX),
      rangeEnd: Buffer.from("/x0"),
    });
    const truth = Object.fromEntries(
      kvs.map(({ key, value }) => [`${Buffer.from(key)}`, `${Buffer.from(value)}`]),
    );
    const known = (): Record<string, string> =>
      Object.fromEntries(keys.snapshot.instances.map(({ key, value }) => [key, value]));
    await eventually(() => keys.state.status === "live", { timeoutMs: 10_000 });
    await eventually(() => JSON.stringify(sorted(known())) === JSON.stringify(sorted(truth)), {
      timeoutMs: 10_000,
    });
    expect(sorted(Object.fromEntries(replica))).toEqual(sorted(truth));
    expect(isInOrder).toBe(true);
    expect(compactions).toBeGreaterThan(30);
  });
});

function sorted(entries: Record<string, string>): [string, string][] {
  return Object.entries(entries).sort();
}
