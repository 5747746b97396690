import { createClient } from "@sd/core";
import { describe, expect, it } from "vitest";
import { EtcdProcess, etcdBinaries, GrpcProxy, leakCheck } from "../src/index.js";

describe.each(etcdBinaries())("GrpcProxy of $name", ({ binary }) => {
  it("serves when `start()` resolves, and leaves nothing behind", async () => {
    await using etcd = await EtcdProcess.start({ binary });
    const leaks = leakCheck();
    const proxy = await GrpcProxy.start({ binary, target: [etcd.endpoint] });
    const client = createClient({ endpoints: proxy.endpoint });
    await etcd.ctl("put", "/a", "1");
    expect((await client.transport.range({ key: Buffer.from("/a") })).count).toBe(1);
    expect(proxy.isRunning).toBe(true);
    await client.close();
    await proxy.close();
    await proxy.close();
    expect(proxy.isRunning).toBe(false);
    await leaks.assertClean({ withinMs: 3_000 });
  });
});

describe("GrpcProxy", () => {
  it("says what it was told to stand before, if that is no etcd, and ends", async () => {
    const leaks = leakCheck();
    const started = GrpcProxy.start({ target: "http://127.0.0.1:1", startTimeoutMs: 500 });
    await expect(started).rejects.toThrow("etcd did not serve within 500 ms");
    await leaks.assertClean({ withinMs: 3_000 });
  });

  it.each([[""], ["127.0.0.1:2379"], ["https://127.0.0.1:2379"], [[]]])(
    "refuses the target %j",
    async (target) => {
      await expect(GrpcProxy.start({ target })).rejects.toThrow(
        `target must be one or more URLs like http://127.0.0.1:2379, got ${JSON.stringify(target)}`,
      );
    },
  );
});
