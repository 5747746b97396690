import { SdError } from "@sd/core";
import { shortChange } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness, keysOf, Reader } from "../test/harness.js";
import { type Change, ChangeQueue, type Keyed } from "./change.js";
import { discover, type ServiceDiscovery, startDiscovery } from "./discover.js";
import type { DiscoveryOptions } from "./options.js";

let bench: Harness;
let web: ServiceDiscovery;
let heard: string[];
let epochs: Set<number>;

beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

/** Discovers a and b. */
async function begin(options: DiscoveryOptions = {}): Promise<void> {
  await bench.write({ "/web/a": "h:1", "/web/b": "h:2" });
  web = await bench.run(discover(bench.client, { service: "web", ...options }));
  heard = [];
  epochs = new Set();
  web.onChanges((changes, { epoch }) => {
    heard.push(...changes.map(shortChange));
    epochs.add(epoch);
  });
}

/** Exchanges etcd for an empty one, which then gets `writes`; returns when the discovery has noticed. */
async function wipe(writes: Readonly<Record<string, string>> = {}): Promise<void> {
  bench.disconnect();
  bench.memory.wipe({ newCluster: true });
  for (const [key, value] of Object.entries(writes)) bench.memory.put(key, value);
  const { epoch } = web.snapshot;
  bench.connect();
  while (web.snapshot.epoch === epoch) await bench.clock.advance(50);
}
const picks = (count: number): string => Array.from({ length: count }, () => web.pick().id).join("");

describe("Discovery: of an etcd that lost its data", () => {
  it("begins a new epoch and tells the difference at once, if it is told to (D2, D8)", async () => {
    await begin({ graceMs: 0 });
    await wipe({ "/web/b": "h:9" });
    expect(web.snapshot).toMatchObject({ epoch: 2, revision: 2, instances: [{ id: "b", address: "h:9" }] });
    expect([heard, epochs, web.retained.size]).toEqual([["~/web/b", "-/web/a"], new Set([2]), 0]);
    await bench.write({ "/web/d": "h:4" });
    expect(keysOf(web)).toEqual(["/web/b", "/web/d"]);
  });

  it("tells a new epoch that changes nothing to all who listen (D2)", async () => {
    web = await bench.run(discover(bench.client, { service: "web", graceMs: 0 }));
    const told: unknown[] = [];
    web.onChanges((changes, position) => told.push([changes.length, position.epoch]));
    const reader = new Reader(bench, web.snapshots());
    expect(await reader.read()).toMatchObject([{ epoch: 1 }]);
    await wipe();
    expect(told).toEqual([[0, 2]]);
    expect(await reader.read()).toMatchObject([{ epoch: 2 }]);
    expect(web.snapshot.ageMs).toBeLessThan(100);
  });

  it("shows a new epoch after a wipe to a lower revision, confirmed after 3 s (D8, F6)", async () => {
    await begin();
    await bench.write({ "/web/b": "h:2" });
    bench.disconnect();
    bench.memory.wipe();
    bench.memory.put("/web/b", "h:9");
    bench.connect();
    await bench.clock.advance(2_999);
    expect(web.snapshot.epoch).toBe(1);
    await bench.clock.advance(6_000);
    expect(web.snapshot).toMatchObject({ epoch: 2, revision: 2 });
  });

  it("shows nothing of the old epoch if only the end of a long list tells of the new one (D8)", async () => {
    const ids = Array.from({ length: 1_100 }, (_, index) => `/web/${index + 1_000}`);
    for (const id of ids) bench.memory.put(id, "h:1");
    web = startDiscovery(bench.client, { service: "web" });
    while (web.state.status !== "live") await bench.clock.settle();
    expect(web.snapshot).toMatchObject({ revision: 1_101, epoch: 1 });
    bench.disconnect();
    bench.memory.wipe();
    // The same keys at the same revisions, by chance; but the last two have changed places.
    for (const id of [...ids.slice(0, -2), ...ids.slice(-2).reverse()]) bench.memory.put(id, "h:2");
    for (let writes = 0; writes < 9; writes += 1) bench.memory.put("/other", "x");
    bench.memory.compact(bench.memory.revision);
    bench.memory.clearCalls();
    bench.connect();
    while (web.snapshot.epoch === 1) await bench.clock.advance(50);
    expect(web.snapshot.instances).toHaveLength(1_100);
    expect(new Set(web.snapshot.instances.map(({ address }) => address))).toEqual(new Set(["h:2"]));
    expect(web.retained.size).toBe(0);
    // The break was seen in the last slice, when the first two had been taken: they are read again.
    expect(bench.memory.callsOf("range").map(({ request }) => request.limit)).toEqual([
      ...[1_000, 10_000],
      ...[1_000, 10_000],
    ]);
  });

  it("retains who is missing, marked, until they return (D11)", async () => {
    await begin();
    await wipe();
    expect([keysOf(web), heard, web.snapshot.epoch]).toEqual([["/web/a", "/web/b"], [], 2]);
    expect(web.retained).toEqual(new Set(["/web/a", "/web/b"]));
    expect(picks(4)).toBe("abab");
    await bench.clock.advance(10_000);
    await bench.write({ "/web/a": "h:11" });
    expect([heard, web.retained]).toEqual([["~/web/a"], new Set(["/web/b"])]);
    expect(web.snapshot.instances.map(({ address }) => address).sort()).toEqual(["h:11", "h:2"]);
    await bench.clock.advance(15_000);
    await bench.write({ "/web/b": "h:2" });
    await bench.clock.advance(60_000);
    expect([heard, keysOf(web), web.retained.size]).toEqual([
      ["~/web/a", "~/web/b"],
      ["/web/a", "/web/b"],
      0,
    ]);
  });

  it("lets go of who has not returned after 30 s, with one removal each (D11)", async () => {
    await begin();
    await wipe({ "/web/b": "h:2" });
    await bench.clock.advance(29_900);
    expect([keysOf(web), heard]).toEqual([["/web/a", "/web/b"], ["~/web/b"]]);
    await bench.clock.advance(150);
    expect([keysOf(web), heard]).toEqual([["/web/b"], ["~/web/b", "-/web/a"]]);
    await bench.write({ "/web/a": "h:1" });
    expect(heard.at(-1)).toBe("+/web/a");
  });

  it("retains them over breaks, compactions and a second loss (D11)", async () => {
    await begin();
    await wipe();
    bench.disconnect();
    for (const port of [2, 3]) bench.memory.put("/web/c", `h:${port}`);
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(6_000);
    expect([keysOf(web), web.retained.size]).toEqual([["/web/a", "/web/b", "/web/c"], 2]);
    await wipe();
    expect([keysOf(web), web.retained.size, web.snapshot.epoch]).toEqual([
      ["/web/a", "/web/b", "/web/c"],
      3,
      3,
    ]);
    await bench.clock.advance(30_100);
    expect([keysOf(web), heard.sort()]).toEqual([[], ["+/web/c", "-/web/a", "-/web/b", "-/web/c"]]);
  });

  it("lets nobody go while etcd cannot be heard again (D10, D11)", async () => {
    await begin();
    await wipe();
    bench.disconnect();
    await bench.clock.advance(300_000);
    expect(keysOf(web)).toEqual(["/web/a", "/web/b"]);
    bench.connect();
    await bench.clock.advance(6_000);
    await bench.write({ "/web/a": "h:1" });
    await bench.clock.advance(30_100);
    expect(keysOf(web)).toEqual(["/web/a"]);
  });

  it("takes the emptiness of the same epoch for a fact (D11)", async () => {
    await begin();
    bench.disconnect();
    bench.memory.delete("/web/a");
    bench.memory.delete("/web/b");
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(6_000);
    expect([keysOf(web), web.snapshot.epoch, web.retained.size]).toEqual([[], 1, 0]);
  });

  it("is mended of a lost delete without a new epoch, and removes it at once (D9, D11)", async () => {
    bench.memory.behave({ losesDeletes: true });
    await begin();
    bench.disconnect();
    bench.memory.compact(bench.memory.delete("/web/a"));
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(6_000);
    expect([keysOf(web), heard, web.snapshot.epoch]).toEqual([["/web/b"], ["-/web/a"], 1]);
    expect(web.state.status).toBe("live");
  });

  it("takes a wiped etcd that has grown beyond it for another one (D8, D11, F7)", async () => {
    await begin();
    bench.disconnect();
    bench.memory.wipe();
    for (let index = 0; index < 50; index++) bench.memory.put("/junk", `${index}`);
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(6_000);
    expect([keysOf(web), web.snapshot.epoch, web.retained.size]).toEqual([["/web/a", "/web/b"], 2, 2]);
  });

  it("closes while it retains, with nothing left behind (D19)", async () => {
    await begin();
    await wipe();
    await web.close();
    await bench.clock.advance(60_000);
    expect([keysOf(web), heard]).toEqual([["/web/a", "/web/b"], []]);
  });
});

describe("Discovery: its options", () => {
  const options = (name: string, value: unknown): DiscoveryOptions => ({ [name]: value });

  it.each([
    ["graceMs", -1, "graceMs must be a number of at least 0, got -1"],
    ["graceMs", Number.NaN, "graceMs must be a number of at least 0, got NaN"],
    ["checkEveryMs", 999, "checkEveryMs must be a number of at least 1000, got 999"],
    ["checkEveryMs", "60000", 'checkEveryMs must be a number of at least 1000, got "60000"'],
    ["maxKeys", 0, "maxKeys must be an integer of at least 1, got 0"],
    ["maxBytes", "1", 'maxBytes must be an integer of at least 1, got "1"'],
    ["timeoutMs", 0, "timeoutMs must be a number above 0, got 0"],
  ])("refuses %s: %j before any I/O, and leaves nothing behind", async (name, value, message) => {
    const error = await discover(bench.client, { service: "web", ...options(name, value) }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "SD_INVALID_ARGUMENT", message });
    await bench.clock.settle();
    expect(bench.memory.calls).toEqual([]);
  });

  it("reject after `timeoutMs` with what has failed last, and leave nothing behind (D17)", async () => {
    bench.memory.refuse();
    const work = discover(bench.client, { service: "web", timeoutMs: 7_000 }).catch(
      (error: unknown) => error,
    );
    await bench.clock.advance(6_999);
    expect(bench.clock.pending).toBeGreaterThan(0);
    await bench.clock.advance(1);
    const error = await work;
    expect(SdError.is(error, "SD_UNAVAILABLE")).toBe(true);
    expect(error).toMatchObject({
      message: "the discovery of /web/ is not ready after 7000 ms",
      cause: { code: "SD_UNAVAILABLE" },
    });
    expect(bench.clock.pending).toBe(0);
  });

  it("end the waiting by time, and the discovery goes on (D17)", async () => {
    bench.memory.refuse();
    const later = startDiscovery(bench.client, { service: "web" });
    const error = await bench.run(
      later.ready({ timeoutMs: 1_000 }).catch((reason: unknown) => reason),
      1_000,
    );
    expect(error).toMatchObject({ code: "SD_UNAVAILABLE" });
    bench.memory.accept();
    await bench.run(later.ready({ timeoutMs: 6_000 }), 6_000);
    expect(later.state.status).toBe("live");
  });

  it("keep the last good instances when there are too many, and say so (D14)", async () => {
    await begin({ maxKeys: 2 });
    bench.memory.put("/web/c", "h:3");
    await bench.clock.advance(200);
    expect(web.state).toMatchObject({ status: "stale", error: { code: "SD_LIMIT_EXCEEDED" } });
    expect(picks(4)).toBe("abab");
    bench.memory.delete("/web/a");
    await bench.clock.advance(36_000);
    expect([web.state.status, keysOf(web)]).toEqual(["live", ["/web/b", "/web/c"]]);
  });
});

describe("A subscriber that never reads (D14)", () => {
  it("makes nobody wait, and is told the outcome: at most one change for each key", async () => {
    await begin();
    const changes = web.changes();
    const snapshots = web.snapshots();
    let told = 0;
    web.onChanges((news) => {
      told += news.length;
    });
    for (let round = 0; round < 1_000; round++) {
      const value = round % 2 === 1 ? undefined : "h:1";
      bench.memory.write(
        Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`/web/k${index}`, value])),
      );
      await bench.clock.settle();
    }
    await bench.write({ "/web/k1": "h:5", "/web/b": undefined });
    await bench.clock.settle();
    expect(told).toBe(50_002);
    expect(await new Reader(bench, changes).read()).toMatchObject([
      { type: "added", instance: { id: "a" } },
      { type: "added", instance: { id: "k1", address: "h:5" } },
    ]);
    expect(await snapshots.next()).toMatchObject({ value: { revision: bench.memory.revision } });
  });

  it("costs no memory that grows with what it has not read: a million changes of 1,000 keys", () => {
    const queue = new ChangeQueue<Keyed>();
    const last = new Map<string, Keyed>();
    for (let index = 0; index < 1_000_000; index++) {
      const instance = { key: `/web/${index % 1_000}`, modRevision: index };
      const previous = last.get(instance.key);
      queue.put(previous ? { type: "updated", instance, previous } : { type: "added", instance });
      last.set(instance.key, instance);
    }
    const unread: Change<Keyed>[] = [];
    for (let change = queue.take(); change; change = queue.take()) unread.push(change);
    expect(unread).toHaveLength(1_000);
    expect(
      unread.every(({ type, instance }) => type === "added" && last.get(instance.key) === instance),
    ).toBe(true);
  });
});
