import { classify, EtcdFailure, failureError } from "@sd/core";
import { type ServiceDiscovery, startDiscovery } from "@sd/discover";
import { startRegistration } from "@sd/register";
import { Bench } from "@sd/testing";
import "@sd/testing/vitest";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const COUNT = 100;
let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});
afterEach(() => bench.end());

const live = (all: readonly ServiceDiscovery[]): number =>
  all.filter(({ state }) => state.status === "live").length;

describe("a herd of registrations and discoveries, on MemoryEtcd", () => {
  it.each([1, 2, 60])(
    "F68 herd: 100 of each come back spread after etcd was down for %i s, and write nothing",
    async (downS) => {
      const { clock, memory } = bench;
      const all = Array.from({ length: COUNT }, (_, index) => {
        const client = bench.newClient();
        const server = startRegistration(client, { service: "web", id: `${index}`, address: "h:1" });
        return { server, web: startDiscovery(client, { service: "web" }) };
      });
      await clock.advance(10_000);
      const webs = all.map(({ web }) => web);
      expect(live(webs)).toBe(COUNT);
      memory.kill();
      await clock.advance(downS * 1_000);
      memory.restart();
      const backAt = clock.now();
      await clock.advance(10_000);
      expect([live(webs), all.filter(({ server }) => server.state.status === "registered").length]).toEqual([
        COUNT,
        COUNT,
      ]);
      expect(memory.events, "nothing is written").toHaveLength(COUNT);
      const opened = memory
        .callsOf("watch")
        .map(({ at }) => at)
        .filter((at) => at >= backAt)
        .sort((a, b) => a - b);
      expect(opened.length / COUNT, "streams for each").toBeLessThanOrEqual(1.1);
      expect((opened[COUNT * 0.95] ?? 0) - (opened[COUNT * 0.05] ?? 0)).toBeGreaterThan(2_000);
      for (const web of webs) expect(web.snapshot.instances).toHaveLength(COUNT);
    },
    60_000,
  );
});

describe("a discovery whose etcd has too much to do, on MemoryEtcd", () => {
  it("F61 too many requests: it backs off, keeps what it knows, and is soon right", async () => {
    const { clock, memory } = bench;
    const message = "etcdserver: too many requests";
    const error = failureError(new EtcdFailure(classify(8, message), message, { status: 8 }));
    let isBusy = true;
    let refused = 0;
    const client = bench.newClient({
      wrap: (transport) => ({
        range: (request, options) => {
          if (!isBusy) return transport.range(request, options);
          refused += 1;
          return Promise.reject(error);
        },
      }),
    });
    memory.put("/web/a", "h:1");
    const web = startDiscovery(client, { service: "web" });
    await clock.advance(60_000);
    expect(web.state).toMatchObject({ status: "syncing", error });
    expect(refused, "lists in a minute").toBeLessThan(40);
    isBusy = false;
    await expect(web).toConverge(["a"], { clock, withinMs: 6_000 });
    isBusy = true;
    bench.disconnect();
    memory.put("/web/b", "h:1");
    memory.compact(memory.put("/web/b", "h:2"));
    bench.connect();
    await clock.advance(20_000);
    expect([web.state.status, web.snapshot.instances.map(({ id }) => id)]).toEqual(["stale", ["a"]]);
    isBusy = false;
    await expect(web).toConverge(["a", "b"], { clock, withinMs: 6_000 });
  });
});
