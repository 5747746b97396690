import { recordStates, shortChange } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness, keysOf } from "../test/harness.js";
import { discover, type ServiceDiscovery, startDiscovery } from "./discover.js";

let bench: Harness;
let web: ServiceDiscovery;
let heard: string[];
beforeEach(async () => {
  bench = new Harness();
  await bench.write({ "/web/a": "h:1", "/web/b": "h:2" });
  web = await bench.run(discover(bench.client, { service: "web" }));
  heard = [];
  web.onChanges((changes) => heard.push(...changes.map(shortChange)));
  return () => bench.end();
});

/** From the end of an outage to the truth. */
const BACK_MS = 6_000;
const picks = (count: number): string => Array.from({ length: count }, () => web.pick().id).join("");

describe.each(["frozen", "refused", "killed"])("Discovery: while etcd is %s", (fault) => {
  const start = (): void => {
    if (fault === "frozen") bench.memory.freeze();
    else if (fault === "killed") bench.memory.kill();
    else bench.disconnect();
  };
  const stop = (): void => {
    bench.memory.thaw();
    bench.memory.restart();
  };

  it("goes on with what it knows, says since when, and catches up (D10, D15)", async () => {
    const seen = recordStates(web);
    await bench.clock.advance(1_000);
    const startedAt = bench.clock.now();
    start();
    await bench.clock.advance(15_000);
    const { state } = web;
    expect(state).toMatchObject({ status: "stale", error: expect.anything() });
    const since = state.status === "stale" ? state.since : 0;
    expect(since).toBeGreaterThanOrEqual(startedAt);
    expect(since).toBeLessThanOrEqual(startedAt + 9_500);
    bench.memory.delete("/web/a");
    bench.memory.put("/web/c", "h:3");
    for (let minute = 0; minute < 30; minute++) {
      await bench.clock.advance(60_000);
      expect(keysOf(web)).toEqual(["/web/a", "/web/b"]);
      expect(picks(4)).toBe("abab");
    }
    expect([heard, web.state]).toMatchObject([[], { status: "stale", since }]);
    stop();
    await bench.clock.advance(BACK_MS);
    expect(web.state).toEqual({ status: "live" });
    expect(heard).toEqual(["-/web/a", "+/web/c"]);
    expect(seen.statuses).toEqual(["live", "stale", "live"]);
    expect(web.snapshot.epoch).toBe(1);
  });
});

describe("Discovery: after a compaction that it was cut off from", () => {
  it("tells what is gone, with its last known value, and never shows nothing (D7)", async () => {
    const removed: unknown[] = [];
    const sizes: number[] = [];
    web.onChanges((changes, { revision }) => {
      sizes.push(web.snapshot.instances.length);
      for (const change of changes) if (change.type === "removed") removed.push({ ...change, at: revision });
    });
    bench.disconnect();
    bench.memory.delete("/web/a");
    bench.memory.put("/web/b", "h:22");
    bench.memory.put("/web/c", "h:3");
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(BACK_MS);
    expect(heard.sort()).toEqual(["+/web/c", "-/web/a", "~/web/b"]);
    const { revision } = bench.memory;
    expect(removed).toMatchObject([{ instance: { id: "a", address: "h:1" }, revision, at: revision }]);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    expect(web.snapshot).toMatchObject({ revision, epoch: 1 });
    expect(web.state.status).toBe("live");
  });

  it("tells nothing when nothing happened to its prefix", async () => {
    bench.disconnect();
    for (let index = 0; index < 10; index++) bench.memory.put("/other/x", `${index}`);
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(BACK_MS);
    expect(heard).toEqual([]);
    expect(web.snapshot.revision).toBe(bench.memory.revision);
  });
});

describe("Discovery: lists that fail", () => {
  it("are never taken for an empty list (D11)", async () => {
    bench.disconnect();
    bench.memory.put("/web/c", "h:3");
    bench.memory.compact(bench.memory.revision);
    for (let index = 0; index < 20; index++) bench.memory.dropNextRequest("range");
    bench.connect();
    for (let second = 0; second < 20; second++) {
      await bench.clock.advance(1_000);
      expect(web.snapshot.instances.length).toBeGreaterThanOrEqual(2);
    }
    await bench.clock.advance(60_000);
    expect(keysOf(web)).toEqual(["/web/a", "/web/b", "/web/c"]);
    expect(heard).toEqual(["+/web/c"]);
  });

  it("that is complete and empty is a fact (D11)", async () => {
    await bench.write({ "/web/a": undefined, "/web/b": undefined });
    expect(web.snapshot.instances).toEqual([]);
    expect(heard).toEqual(["-/web/a", "-/web/b"]);
  });
});

describe("Discovery: many keys at once", () => {
  it("lists 25,000 in pages and follows 3,000 that it missed", async () => {
    const many = bench.client;
    for (let index = 0; index < 25_000; index++) bench.memory.put(`/many/${index}`, "h:1");
    const discovery = startDiscovery(many, { service: "many" });
    // The list is read in slices, between which the event loop goes round.
    while (discovery.state.status === "syncing") await bench.clock.settle();
    expect(discovery.snapshot.instances).toHaveLength(25_000);
    expect(bench.memory.callsOf("range").length).toBeGreaterThan(2);
    bench.disconnect();
    for (let index = 0; index < 3_000; index++) bench.memory.delete(`/many/${index}`);
    bench.connect();
    await bench.clock.advance(BACK_MS);
    expect(discovery.snapshot.instances).toHaveLength(22_000);
  });
});
