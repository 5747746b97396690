import { createClient } from "@sd/core";
import { EtcdProcess, etcdBinaries, FaultProxy } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { registerKey } from "../src/index.js";

describe.each(etcdBinaries().slice(-1))("many registrations on one client, on $name", ({ binary }) => {
  it("R9 close: 5,000 at once are all confirmed", async () => {
    await using etcd = await EtcdProcess.start({ binary });
    await using proxy = await FaultProxy.start({ target: etcd.endpoint });
    await using client = createClient({ endpoints: proxy.endpoint });
    const registrations = await Promise.all(
      Array.from({ length: 5_000 }, (_, index) =>
        registerKey(client, { key: `/many/${index}`, value: `host-${index}:80`, ttlSeconds: 60 }),
      ),
    );
    const results = await Promise.all(registrations.map((registration) => registration.close()));
    expect(results.filter(({ confirmed }) => !confirmed)).toEqual([]);
    const { count } = await client.transport.range({
      key: Buffer.from("/many/"),
      rangeEnd: Buffer.from("/many0"),
      countOnly: true,
    });
    expect(count).toBe(0);
  }, 120_000);
});
