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

interface Call {
  readonly at: number;
}

/** The time in which nine tenths of the calls came. */
function spreadMs(calls: readonly Call[]): number {
  const times = calls.map(({ at }) => at).sort((a, b) => a - b);
  return (times[Math.floor(times.length * 0.95)] ?? 0) - (times[Math.floor(times.length * 0.05)] ?? 0);
}

/** How many calls came in the busiest `withinMs`. */
function most(calls: readonly Call[], withinMs: number): number {
  return Math.max(
    ...calls.map(({ at: from }) => calls.filter(({ at }) => at >= from && at < from + withinMs).length),
  );
}

describe("a herd of registrations and discoveries, on MemoryEtcd", () => {
  it.each([
    [1, "as it was"],
    [2, "as it was"],
    [60, "as it was"],
    [2, "compacted"],
    [60, "compacted"],
  ])(
    "F68 herd: 100 of each come back spread after etcd was down for %i s, to a history %s, and write nothing",
    async (downS, history) => {
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
      // Else nobody would have anything to catch up with.
      const written = [memory.put("/other", "1"), memory.put("/other", "2")].length;
      if (history === "compacted") memory.compact(memory.revision);
      await clock.advance(downS * 1_000);
      memory.restart();
      const backAt = clock.now();
      const since = ({ at }: { readonly at: number }): boolean => at >= backAt;
      await clock.advance(10_000);
      expect([live(webs), all.filter(({ server }) => server.state.status === "registered").length]).toEqual([
        COUNT,
        COUNT,
      ]);
      expect(memory.events, "nothing is written").toHaveLength(COUNT + written);
      const leastMs = downS > 2 ? 1_000 : 300;
      const opened = memory.callsOf("watch").filter(since);
      // While all that it watches is listed, there is none.
      const streams = history === "compacted" ? 2 : 1;
      expect(opened.length / COUNT, "streams for each").toBeLessThanOrEqual(1.1 * streams);
      expect(spreadMs(opened)).toBeGreaterThan(2_000);
      const reads = memory.callsOf("range").filter(since);
      const lists = reads.filter(
        ({ request: { rangeEnd, keysOnly, countOnly } }) => rangeEnd && !keysOnly && !countOnly,
      );
      if (history === "compacted") {
        expect(lists.length / COUNT, "lists for each").toBeLessThanOrEqual(1.1);
        expect(spreadMs(lists)).toBeGreaterThan(leastMs);
      } else expect(lists).toHaveLength(0);
      // A list, the own key, and after each resume two to see whether it is the same etcd.
      expect(reads.length / COUNT, "reads for each").toBeLessThanOrEqual(4.2);
      expect(most(reads, 500) / reads.length, "of them in any half second").toBeLessThan(0.5);
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
