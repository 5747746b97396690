import { createClient, type EtcdClient, failureOf } from "@sd/core";
import { EtcdProcess, etcdBinaries, eventually } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { type KeyRegistration, registerKey, startKeyRegistration } from "../src/index.js";

describe.each(etcdBinaries().slice(-1))("F60 no space, on $name", ({ binary }) => {
  it("says why a new one and a lost one wait, and lets them in within 36 s of the disarm", async () => {
    await using etcd = await EtcdProcess.start({ binary, args: [`--quota-backend-bytes=${16 * 2 ** 20}`] });
    await using client = createClient({ endpoints: etcd.endpoint });
    const before = await registerKey(client, { key: "/n/before", value: "1", ttlSeconds: 5 });
    const filler = "x".repeat(100_000);
    for (let index = 0; index < 400; index += 1) {
      const isFull = await etcd.ctl("put", `/fill/${index}`, filler).then(
        () => false,
        () => true,
      );
      if (isFull) break;
    }
    const waiting = startKeyRegistration(client, { key: "/n/waiting", value: "1", ttlSeconds: 5 });
    await eventually(() => waiting.state.status === "registering" && waiting.state.error !== undefined);
    const isRevoked = await revokeLeaseOf(before, client);
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    expect(failureOf("error" in waiting.state && waiting.state.error)).toBe("no-space");
    expect(before.state.status, "a lease that was lost cannot come back").toBe("lost");
    expect(failureOf("error" in before.state && before.state.error)).toBe("no-space");
    expect(isRevoked).toBe(true);
    await etcd.ctl("del", "--prefix", "/fill/");
    const revision = JSON.parse(await etcd.ctl("get", "/n", "-w=json")).header.revision as number;
    await etcd.compact(revision);
    await etcd.ctl("defrag");
    await etcd.ctl("alarm", "disarm");
    const start = performance.now();
    await eventually(() => waiting.state.status === "registered" && before.state.status === "registered", {
      timeoutMs: 50_000,
    });
    const backMs = performance.now() - start;
    expect(backMs).toBeLessThan(37_000);
    await Promise.all([before.close(), waiting.close()]);
  }, 120_000);
});

/** The way in which an operator does it. */
async function revokeLeaseOf({ state }: KeyRegistration, client: EtcdClient): Promise<boolean> {
  if (state.status !== "registered") return false;
  return (await client.leases.revoke({ id: state.leaseId })).confirmed;
}
