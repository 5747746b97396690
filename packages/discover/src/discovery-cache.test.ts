import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { EtcdClient, SdChannels } from "@sd/core";
import { recordStates, shortChange } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness, keysOf } from "../test/harness.js";
import { MemoryFile } from "../test/memory-file.js";
import { encodeCache } from "./cache-lines.js";
import { discover, type ServiceDiscovery, startDiscovery } from "./discover.js";
import type { DiscoveryOptions } from "./options.js";

let bench: Harness;
let file: MemoryFile;
/** What is told of the cache, but that it was saved. */
let told: (SdChannels["sd:cache:failed"] | SdChannels["sd:cache:restored"])[];
beforeEach(() => {
  bench = new Harness();
  file = new MemoryFile(bench.clock);
  told = [];
  const note = (message: unknown): void => void told.push(message as never);
  for (const name of ["sd:cache:failed", "sd:cache:restored"]) subscribe(name, note);
  return async () => {
    for (const name of ["sd:cache:failed", "sd:cache:restored"]) unsubscribe(name, note);
    await bench.end();
  };
});

const start = (client: EtcdClient = bench.client, options: DiscoveryOptions = {}): ServiceDiscovery =>
  startDiscovery(client, { service: "web", cacheFile: file, ...options });

/** A process that has known a and b, and is gone; etcd is gone for `ms`, too. */
async function knownBefore(ms = 60_000): Promise<void> {
  await bench.write({ "/web/a": "h:1", "/web/b": "h:2" });
  const before = start();
  await bench.run(before.ready());
  await before.close();
  bench.disconnect();
  await bench.clock.advance(ms);
}

/** What becomes of a start without etcd. */
async function restart(options: DiscoveryOptions = {}): Promise<ServiceDiscovery> {
  const web = start(bench.newClient(), options);
  await bench.clock.advance(3_000);
  return web;
}

async function connect(): Promise<void> {
  bench.connect();
  await bench.clock.advance(6_000);
}

describe("The cache file of a discovery", () => {
  it("is written 5 s after the first change, once for all, and by close()", async () => {
    await bench.write({ "/web/a": "h:1" });
    const web = start();
    await bench.run(web.ready());
    await bench.clock.advance(4_900);
    for (let port = 2; port < 9; port += 1) await bench.write({ "/web/b": `h:${port}` });
    expect(file.writes).toBe(0);
    await bench.clock.advance(100);
    expect(file.writes).toBe(1);
    expect(file.text).toContain('["/web/b","h:8","0",3,9,7]');
    await bench.write({ "/web/a": undefined });
    await web.close();
    expect(file.writes).toBe(2);
    expect(file.text).not.toContain("/web/a");
  });

  it("is written for a hundredth of the time at most, but every 10 min, however often something changes", async () => {
    await bench.write({ "/web/a": "h:1" });
    const web = start();
    await bench.run(web.ready());
    const everySecond = async (seconds: number): Promise<number> => {
      const before = file.writes;
      for (let second = 0; second < seconds; second += 1) {
        await bench.write({ "/web/a": `h:${second + 2}` });
        await bench.clock.advance(1_000);
      }
      return file.writes - before;
    };
    expect(await everySecond(60)).toBe(12);
    file.writeMs = 200;
    expect(await everySecond(61)).toBe(3);
    // The first change after a write waits, too.
    await bench.clock.advance(60_000);
    await everySecond(1);
    await bench.clock.advance(6_000);
    expect([await everySecond(1), file.writes]).toEqual([0, 17]);
    await bench.clock.advance(17_000);
    expect(file.writes).toBe(17);
    await bench.clock.advance(3_000);
    expect(file.writes).toBe(18);
    file.writeMs = 30_000;
    await everySecond(600);
    expect(await everySecond(1_260)).toBe(2);
    file.writeMs = 0;
    await web.close();
  });

  it("is written every 10 min without a change, so that it tells when etcd was last heard", async () => {
    await bench.write({ "/web/a": "h:1" });
    const web = start();
    await bench.run(web.ready());
    await bench.clock.advance(5_000 + 2 * 600_000);
    expect(file.writes).toBe(3);
    await web.close();
    expect(file.writes).toBe(3);
    bench.disconnect();
    const later = await restart();
    expect(later.snapshot.ageMs).toBe(3_000);
  });

  it("lets discover() resolve without etcd, and shows what it holds as stale (D10, D17)", async () => {
    await knownBefore(60_000);
    const web = await bench.run(discover(bench.newClient(), { service: "web", cacheFile: file }), 2_000);
    const { state } = web;
    expect(state).toMatchObject({ status: "stale", error: { code: "SD_UNAVAILABLE" } });
    expect(web.snapshot).toMatchObject({ revision: 2, epoch: 1, instances: [{ id: "a" }, { id: "b" }] });
    const ageMs = bench.clock.now() - (state.status === "stale" ? state.since : 0);
    expect(ageMs).toBeGreaterThanOrEqual(60_000);
    expect(ageMs).toBeLessThanOrEqual(62_000);
    expect(web.snapshot.ageMs).toBe(ageMs);
    expect([web.pick().address, web.pick().address]).toEqual(["h:1", "h:2"]);
    expect(told).toMatchObject([{ prefix: "/web/", revision: 2, keys: 2, ageMs }]);
    await bench.clock.advance(3_600_000);
    expect(keysOf(web)).toEqual(["/web/a", "/web/b"]);
  });

  it("does not make ready() resolve, which waits for etcd (D17)", async () => {
    await knownBefore();
    const web = await restart();
    const error = await bench.run(
      web.ready({ timeoutMs: 60_000 }).catch((reason: unknown) => reason),
      60_000,
    );
    expect(error).toMatchObject({ code: "SD_UNAVAILABLE" });
    await connect();
    await bench.run(web.ready());
  });

  it("is left when etcd comes: the difference is told, and what is the same is not (D3)", async () => {
    await knownBefore();
    const web = start(bench.newClient());
    const seen = recordStates(web);
    await bench.clock.advance(3_000);
    const [a] = web.snapshot.instances;
    const heard: string[] = [];
    web.onChanges((changes) => heard.push(...changes.map(shortChange)));
    bench.memory.write({ "/web/b": undefined, "/web/c": "h:3" });
    await connect();
    expect(heard).toEqual(["+/web/c", "-/web/b"]);
    expect(web.snapshot).toMatchObject({ revision: 3, epoch: 1 });
    expect(web.snapshot.instances[0]).toBe(a);
    expect(seen.statuses.filter((status, index, all) => status !== all[index - 1])).toEqual([
      "syncing",
      "stale",
      "live",
    ]);
  });

  it("is not shown if etcd answers in time, nor if it is slow itself", async () => {
    await knownBefore();
    bench.connect();
    bench.memory.delete("/web/a");
    const heard: string[] = [];
    const web = start(bench.newClient());
    web.onChanges((changes) => heard.push(...changes.map(shortChange)));
    await bench.run(web.ready());
    await bench.clock.advance(10_000);
    expect([heard, told]).toEqual([["+/web/b"], []]);
  });

  it("is not shown if etcd answers while it is read", async () => {
    await knownBefore();
    file.reading = new Promise((done) => void bench.clock.setTimer(5_000, done));
    const web = start(bench.newClient());
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(1_900);
    expect([web.state.status, web.snapshot.ageMs < 1_900]).toEqual(["live", true]);
    await bench.clock.advance(1_000);
    expect([told, web.state.status]).toEqual([[], "live"]);
  });

  it("tells when etcd was last heard, not when it was written", async () => {
    await bench.write({ "/web/a": "h:1" });
    const web = start();
    await bench.run(web.ready());
    await bench.clock.advance(4_000);
    bench.disconnect();
    await bench.clock.advance(600_000);
    expect(file.writes).toBe(1);
    await web.close();
    const later = await restart();
    expect(later.snapshot.ageMs).toBe(603_000);
  });

  it("is shown 2 s after an etcd that says nothing was asked (F31)", async () => {
    await knownBefore();
    bench.connect();
    bench.memory.freeze();
    const web = start(bench.newClient());
    await bench.clock.advance(1_999);
    expect([web.state.status, keysOf(web)]).toEqual(["syncing", []]);
    await bench.clock.advance(1);
    expect([web.state, keysOf(web)]).toMatchObject([
      { status: "stale", error: { message: "etcd has not answered yet" } },
      ["/web/a", "/web/b"],
    ]);
    const later = start(bench.newClient(), { cacheAfterMs: 200 });
    await bench.clock.advance(200);
    expect(keysOf(later)).toEqual(["/web/a", "/web/b"]);
  });

  it("is compared with a list that was on its way when it was shown (D2, D8)", async () => {
    await knownBefore();
    bench.connect();
    bench.memory.wipe({ newCluster: true });
    bench.memory.put("/web/a", "h:9");
    let lists = 0;
    const slow = bench.newClient({
      wrap: (transport) => ({
        range: async (request, options) => {
          const page = await transport.range(request, options);
          lists += 1;
          if (lists === 1) await new Promise<void>((done) => void bench.clock.setTimer(2_500, done));
          return page;
        },
      }),
    });
    const web = start(slow);
    await bench.clock.advance(2_400);
    expect(web.snapshot).toMatchObject({ epoch: 1, instances: [{ address: "h:1" }, { address: "h:2" }] });
    await bench.clock.advance(4_000);
    expect(web.snapshot).toMatchObject({ epoch: 2, instances: [{ address: "h:9" }, { address: "h:2" }] });
    expect([lists > 1, web.retained, web.state.status]).toEqual([true, new Set(["/web/b"]), "live"]);
  });

  it.each([
    ["wiped, and at a lower revision", {}, 1],
    ["another cluster, at a higher revision", { newCluster: true }, 9],
  ])("begins a new epoch with its grace if etcd is $0 (D8, D11)", async (_what, options, writes) => {
    await knownBefore();
    await bench.client.close();
    const web = await restart();
    bench.memory.wipe(options);
    for (let count = 1; count < writes; count += 1) bench.memory.put("/other", "x");
    await connect();
    expect([keysOf(web), web.snapshot.epoch, web.retained.size]).toEqual([["/web/a", "/web/b"], 2, 2]);
    await bench.clock.advance(30_000);
    expect([keysOf(web), web.state.status]).toEqual([[], "live"]);
  });

  it("is not written while who is missing after a loss is retained (D11)", async () => {
    await knownBefore(0);
    const before = file.text;
    bench.connect();
    const web = start(bench.newClient());
    await bench.run(web.ready());
    await bench.clock.advance(5_000);
    bench.disconnect();
    bench.memory.wipe({ newCluster: true });
    await connect();
    expect(web.retained.size).toBe(2);
    await bench.clock.advance(20_000);
    expect(file.text.split("\n").slice(1, 3)).toEqual(before.split("\n").slice(1, 3));
    await bench.clock.advance(15_000);
    expect(file.text).not.toContain("/web/a");
  });

  it("keeps what cannot be read, too: etcd's history goes on when it comes (D8, D13)", async () => {
    bench.memory.put("/web/bad", "\u0000 no address");
    await knownBefore();
    const web = await restart();
    expect([keysOf(web), [...web.rejected.keys()]]).toEqual([["/web/a", "/web/b"], ["/web/bad"]]);
    await connect();
    expect([web.snapshot.epoch, web.state.status, web.rejected.size]).toEqual([1, "live", 1]);
  });

  it("is refused by the limits of the discovery (D14)", async () => {
    await knownBefore();
    const web = await restart({ maxKeys: 1 });
    expect(web.state.status).toBe("syncing");
    expect(told).toMatchObject([{ operation: "read", error: { code: "SD_LIMIT_EXCEEDED" } }]);
  });

  it("is not shown when etcd was last heard more than a day ago", async () => {
    await knownBefore(86_400_000 - 4_000);
    expect(keysOf(await restart())).toEqual(["/web/a", "/web/b"]);
    await bench.clock.advance(5_000);
    expect(keysOf(await restart())).toEqual([]);
    expect(told.at(-1)).toMatchObject({ error: { message: expect.stringContaining("at most 86400000") } });
    expect(keysOf(await restart({ cacheMaxAgeMs: 90_000_000 }))).toHaveLength(2);
  });

  it("bears a calendar that is put back by an hour, and not one that is put back by a year (F25)", async () => {
    await knownBefore(1_000);
    file.aheadMs = -3_600_000;
    const web = await restart();
    expect(keysOf(web)).toHaveLength(2);
    expect(web.snapshot.ageMs).toBeLessThan(4_000);
    file.aheadMs = -365 * 86_400_000;
    expect(keysOf(await restart())).toEqual([]);
  });

  it("is for one discovery at a time: another is refused, and leaves it as it is", async () => {
    const path = join(tmpdir(), "none", "web.cache");
    const again = { cacheFile: relative(process.cwd(), path) };
    const web = start(bench.client, { cacheFile: path });
    const refusal = `cacheFile must be another one for each discovery of a process, until that is closed, got "${path}"`;
    expect(() => start(bench.client, again)).toThrow(refusal);
    expect(() => start(bench.client, again)).toThrow(refusal);
    await bench.run(web.close());
    await bench.run(start(bench.client, again).close());
  });

  it("is free for another after a start that was refused for something else", async () => {
    const cacheFile = join(tmpdir(), "none", "web.cache");
    expect(() => start(bench.client, { cacheFile, checkEveryMs: 1 })).toThrow("checkEveryMs");
    await bench.clock.settle();
    await bench.run(start(bench.client, { cacheFile }).close());
  });

  it("may be missing: it is waited for etcd, and nothing is told", async () => {
    bench.disconnect();
    const web = await restart();
    expect([web.state.status, told, file.reads]).toEqual(["syncing", [], 1]);
    await connect();
    expect(web.state.status).toBe("live");
  });

  it("may fail to be written: it is told, tried again after a minute, and disturbs nobody", async () => {
    file.error = new Error("no space left on the device");
    await bench.write({ "/web/a": "h:1" });
    const web = start();
    await bench.run(web.ready());
    await bench.clock.advance(64_900);
    expect([file.writes, web.state.status]).toEqual([1, "live"]);
    expect(told).toEqual([{ prefix: "/web/", operation: "write", error: file.error }]);
    file.error = undefined;
    await bench.clock.advance(100);
    expect(file.text).toContain("/web/a");
  });

  it("keeps nobody from closing for more than 2 s (D19)", async () => {
    await bench.write({ "/web/a": "h:1" });
    const web = start();
    await bench.run(web.ready());
    file.isHung = true;
    await bench.clock.advance(5_000);
    let isClosed = false;
    void web.close().then(() => {
      isClosed = true;
    });
    await bench.clock.advance(1_999);
    expect(isClosed).toBe(false);
    await bench.clock.advance(1);
    expect(isClosed).toBe(true);
  });

  it("is not shown after close(), and leaves nothing behind (D19)", async () => {
    await knownBefore();
    const web = start(bench.newClient());
    await web.close();
    await bench.clock.advance(10_000);
    expect([keysOf(web), told, bench.clock.pending]).toEqual([[], [], 0]);
  });

  it("lets who hears of what it holds close the discovery (D19)", async () => {
    await knownBefore();
    const web = start(bench.newClient());
    web.onChanges(() => void web.close());
    await bench.clock.advance(10_000);
    expect([web.state.status, keysOf(web)]).toEqual(["closed", ["/web/a", "/web/b"]]);
  });
});

describe("A damaged or hostile cache file (D13)", () => {
  const write = (header: object, lines: readonly string[]): void => {
    const sound = { prefix: "/web/", clusterId: undefined, revision: 9, at: file.now() };
    file.bytes = Buffer.concat([...encodeCache({ ...sound, ...header }, lines)]);
  };
  const line = (...fields: unknown[]): string => JSON.stringify(fields);
  const be = (bytes: Uint8Array): void => {
    file.bytes = bytes;
  };
  const good = line("/web/a", "h:1", "0", 2, 2, 1);

  it.each<[string, () => void, string?]>([
    ["of another prefix", () => write({ prefix: "/web-admin/" }, [good])],
    ["with a key outside of its prefix", () => write({}, [line("/root", "h:1", "0", 2, 2, 1)])],
    ["with a key twice", () => write({}, [good, good]), "a key is there twice"],
    ["with a revision beyond its own", () => write({ revision: 1 }, [good])],
    ["without a revision", () => write({ revision: 0 }, [])],
    ["with a time that is none", () => write({ at: Number.NaN }, [good])],
    ["with an object for a line", () => write({}, ['{"__proto__":{"key":"/web/a"}}'])],
    ["with a value that is no text", () => write({}, [line("/web/a", { length: 3 }, "0", 2, 2, 1)])],
    ["with a lease that is no number", () => write({}, [line("/web/a", "h:1", "0x1", 2, 2, 1)])],
    ["with a million brackets", () => write({}, ["[".repeat(1_000_000)])],
    ["with a line that is no JSON", () => write({}, ["h:1"])],
    ["that is empty", () => be(Buffer.alloc(0))],
    ["of zeros", () => be(Buffer.alloc(4_096))],
    ["without lines", () => be(Buffer.alloc(4_096, "x"))],
    ["with null above it", () => be(Buffer.from(`null\n${"0".repeat(64)}\n`))],
  ])("%s is refused as a whole, and told", async (_what, make, why = "the cache file cannot be used") => {
    bench.disconnect();
    make();
    const web = await restart();
    expect([web.state.status, keysOf(web), web.rejected.size]).toEqual(["syncing", [], 0]);
    expect(told).toMatchObject([{ operation: "read", error: { code: "SD_INVARIANT" } }]);
    const { error } = told[0] as SdChannels["sd:cache:failed"];
    expect(String(error)).toContain(why);
    expect(String(error).length).toBeLessThan(120);
    await connect();
    expect(web.state.status).toBe("live");
  });

  it("is refused wherever it was cut off, or a byte of it has changed", async () => {
    bench.disconnect();
    write({}, [good, line("/web/b", "h:2", "0", 3, 3, 1)]);
    const whole = file.bytes as Uint8Array;
    const web = start(bench.newClient(), { cacheAfterMs: 0 });
    await bench.clock.advance(0);
    expect(keysOf(web)).toHaveLength(2);
    for (let at = 0; at < whole.length; at += 1) {
      for (const damage of ["cut", "changed"]) {
        file.bytes = damage === "cut" ? whole.subarray(0, at) : Uint8Array.from(whole);
        if (damage === "changed") file.bytes[at] = (whole[at] as number) ^ 1;
        const other = start(bench.client, { cacheAfterMs: 0 });
        await bench.clock.advance(0);
        expect([damage, at, keysOf(other)]).toEqual([damage, at, []]);
        await other.close();
      }
    }
  });

  it("pollutes no prototype with a sound line", async () => {
    bench.disconnect();
    const value = '{"address":"h:1","metadata":{"__proto__":"x","constructor":"y"}}';
    write({ __proto__: { polluted: 1 } }, [line("/web/__proto__", value, "0", 2, 2, 1)]);
    const web = await restart();
    expect(web.snapshot.instances).toMatchObject([{ id: "__proto__", address: "h:1" }]);
    const { metadata } = web.pick();
    expect([Object.keys(metadata), metadata["toString"]]).toEqual([["__proto__", "constructor"], undefined]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("leaves out single values that cannot be read, as of etcd", async () => {
    bench.disconnect();
    write({}, [good, line("/web/b", "no address", "0", 3, 3, 1)]);
    const web = await restart();
    expect([keysOf(web), [...web.rejected.keys()]]).toEqual([["/web/a"], ["/web/b"]]);
  });
});
