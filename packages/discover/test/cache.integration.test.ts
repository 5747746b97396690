import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@sd/core";
import {
  EtcdProcess,
  eventually,
  FaultProxy,
  leakCheck,
  oldestAndNewestEtcd,
  shortChange,
} from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { discover } from "../src/index.js";
import { keysOf } from "./harness.js";

/** More than a busy machine needs. */
const patience = { timeoutMs: 15_000 };

describe.each(oldestAndNewestEtcd())("a cache file, on $name", ({ binary }) => {
  let folder: string;
  let leaks: ReturnType<typeof leakCheck>;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sd-cache-"));
    leaks = leakCheck({ ignore: /etcd-process/ });
    return async () => {
      await rm(folder, { recursive: true });
      await leaks.assertClean({ withinMs: 3_000 });
    };
  });

  /** Runs `use` with a discovery of a client of its own, as another process would. */
  async function withDiscovery(
    endpoint: string,
    use: (web: Awaited<ReturnType<typeof discover>>) => Promise<void>,
  ): Promise<void> {
    await using client = createClient({ endpoints: [endpoint] });
    const cacheFile = join(folder, "web.cache");
    await use(await discover(client, { service: "web", cacheFile, graceMs: 5_000, timeoutMs: 10_000 }));
  }

  it("is served from while etcd is away, and the difference is told when it comes (D10, D17)", async () => {
    await using etcd = await EtcdProcess.start({ binary });
    await using proxy = await FaultProxy.start({ target: etcd.endpoint });
    for (const id of ["a", "b"]) await etcd.ctl("put", `/web/${id}`, "h:1");
    await withDiscovery(proxy.endpoint, async (web) => expect(web.state.status).toBe("live"));
    proxy.refuse();
    await etcd.ctl("del", "/web/a");
    await etcd.ctl("put", "/web/c", "h:3");
    await withDiscovery(proxy.endpoint, async (web) => {
      const heard: string[] = [];
      web.onChanges((changes) => heard.push(...changes.map(shortChange)));
      expect([web.state.status, keysOf(web)]).toEqual(["stale", ["/web/a", "/web/b"]]);
      expect(web.pick().address).toBe("h:1");
      proxy.pass();
      await eventually(() => expect(web.state.status).toBe("live"), patience);
      expect([heard, web.snapshot.epoch]).toEqual([["+/web/c", "-/web/a"], 1]);
    });
  });

  it("is held for the grace when etcd comes back without its data (D8, D11)", async () => {
    await using etcd = await EtcdProcess.start({ binary });
    for (const id of ["a", "b"]) await etcd.ctl("put", `/web/${id}`, "h:1");
    await withDiscovery(etcd.endpoint, async () => {});
    await etcd.kill();
    await withDiscovery(etcd.endpoint, async (web) => {
      expect([web.state.status, keysOf(web)]).toEqual(["stale", ["/web/a", "/web/b"]]);
      await etcd.wipe();
      await etcd.restart();
      await eventually(() => expect(web.snapshot.epoch).toBe(2), patience);
      expect([keysOf(web), web.retained.size]).toEqual([["/web/a", "/web/b"], 2]);
      await eventually(() => expect(keysOf(web)).toEqual([]), patience);
    });
  });
});
