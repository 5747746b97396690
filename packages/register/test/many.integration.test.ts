import { createClient } from "@sd/core";
import { EtcdProcess, etcdBinaries } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { registerKey } from "../src/index.js";

describe.each(etcdBinaries().slice(-1))("many registrations on one client, on $name", ({ binary }) => {
  it("R9 close: 5,000 at once are confirmed, and none is said to be that is not", async () => {
    await using etcd = await EtcdProcess.start({ binary });
    await using client = createClient({ endpoints: etcd.endpoint });
    const registrations = await Promise.all(
      Array.from({ length: 5_000 }, (_, index) =>
        registerKey(client, { key: `/many/${index}`, value: `host-${index}:80`, ttlSeconds: 60 }),
      ),
    );
    const results = await Promise.all(registrations.map((registration) => registration.close()));
    const unconfirmed = results.filter(({ confirmed }) => !confirmed).length;
    expect(unconfirmed, "a busy machine may hold up some").toBeLessThan(50);
    const { count } = await client.transport.range({
      key: Buffer.from("/many/"),
      rangeEnd: Buffer.from("/many0"),
      countOnly: true,
    });
    expect(count).toBeLessThanOrEqual(unconfirmed);
  }, 120_000);
});
