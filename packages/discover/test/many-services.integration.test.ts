import { createClient, type EtcdClient } from "@sd/core";
import { EtcdProcess, etcdBinaries, eventually } from "@sd/testing";
import { afterEach, describe, expect, it } from "vitest";
import { startDiscovery } from "../src/index.js";

/** More than one transaction holds. */
const SERVICES = 160;
const names = Array.from({ length: SERVICES }, (_, index) => `s${index}`);
const patience = { timeoutMs: 20_000 };

/** Keys of the first service, besides its `a`: more than one page of those that are read together. */
const MORE = 70;

async function fill(client: EtcdClient): Promise<void> {
  const keys = [...names.map((name) => `/${name}/a`), ...Array.from({ length: MORE }, (_, i) => `/s0/${i}`)];
  for (let at = 0; at < keys.length; at += 16) {
    const part = keys.slice(at, at + 16);
    const { id: lease } = await client.transport.grant({ id: BigInt(at + 1) as never, ttlSeconds: 600 });
    const success = part.map((key) => {
      return { type: "put" as const, key: Buffer.from(key), value: Buffer.from("host:1"), lease };
    });
    await client.transport.txn({ compare: [], success, failure: [] });
  }
}

describe.each(etcdBinaries())("many services on one client, on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  afterEach(() => etcd[Symbol.asyncDispose]());

  it.each([
    { limit: "its own", args: [] },
    { limit: "a lower", args: ["--max-txn-ops=20"] },
  ])("are all found, with $limit limit of operations in a transaction", async ({ args }) => {
    etcd = await EtcdProcess.start({ binary, args });
    await using client = createClient({ endpoints: [etcd.endpoint] });
    await fill(client);
    const all = names.map((service) => startDiscovery(client, { service }));
    await Promise.all(all.map((each) => each.ready(patience)));
    const sizes = all.map(({ snapshot }) => snapshot.instances.length);
    expect(sizes).toEqual([1 + MORE, ...Array(SERVICES - 1).fill(1)]);
    expect(all.every(({ snapshot }) => snapshot.instances.every(({ address }) => address === "host:1"))).toBe(
      true,
    );
    await etcd.ctl("put", "/s159/b", "host:2");
    await eventually(() => all[159]?.snapshot.instances.length === 2, patience);
  });

  it("are found but for the one that may not be read, which harms no other", async () => {
    etcd = await EtcdProcess.start({ binary });
    const root = { username: "root", password: "s3cret" };
    await etcd.enableAuth({
      users: {
        root: { password: root.password },
        web: { password: "w3b", permissions: [{ access: "read", prefix: "/s1" }] },
      },
    });
    await using operator = createClient({ endpoints: [etcd.endpoint], auth: root });
    await fill(operator);
    await using client = createClient({
      endpoints: [etcd.endpoint],
      auth: { username: "web", password: "w3b" },
    });
    const forbidden = startDiscovery(client, { service: "s2" });
    const others = names
      .filter((name) => name.startsWith("s1"))
      .map((service) => startDiscovery(client, { service }));
    await Promise.all(others.map((each) => each.ready(patience)));
    expect(others.map(({ snapshot }) => snapshot.instances.length)).toEqual(others.map(() => 1));
    expect(forbidden.state).toMatchObject({ status: "syncing", error: { code: "SD_PERMISSION" } });
  });
});
