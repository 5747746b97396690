import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { SdChannels } from "@sd/core";
import { shortChange } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness, keysOf } from "../test/harness.js";
import { discover, type ServiceDiscovery } from "./discover.js";
import type { MassLossOptions } from "./mass-loss.js";

let bench: Harness;
let web: ServiceDiscovery;
let heard: string[];
let told: SdChannels["sd:loss:held"][];
beforeEach(() => {
  bench = new Harness();
  heard = [];
  told = [];
  const note = (message: unknown): void => void told.push(message as SdChannels["sd:loss:held"]);
  subscribe("sd:loss:held", note);
  return async () => {
    unsubscribe("sd:loss:held", note);
    await bench.end();
  };
});

const keys = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `/web/${from + index}`);
const write = (names: readonly string[], value: string | undefined): Promise<void> =>
  bench.write(Object.fromEntries(names.map((name) => [name, value])));

/** Discovers ten instances, 0 to 9. */
async function begin(massLoss?: MassLossOptions, count = 10): Promise<void> {
  await write(keys(0, count), "h:1");
  web = await bench.run(discover(bench.client, { service: "web", massLoss }));
  web.onChanges((changes) => heard.push(...changes.map(shortChange)));
}

describe("Discovery: a mass loss within one epoch (D11)", () => {
  it("is a fact, unless it is asked for otherwise", async () => {
    await begin();
    await write(keys(0, 10), undefined);
    expect([keysOf(web), heard.length, told]).toEqual([[], 10, []]);
  });

  it("is held, marked and told; after 60 s all of them go, with one removal each", async () => {
    await begin({});
    await write(keys(0, 9), undefined);
    expect([keysOf(web), heard]).toEqual([keys(0, 10), []]);
    expect(web.retained).toEqual(new Set(keys(0, 9)));
    expect(told).toEqual([{ prefix: "/web/", keys: 9, left: 1 }]);
    await bench.clock.advance(59_900);
    expect(web.pick()).toBeDefined();
    expect([web.retained.size, heard]).toEqual([9, []]);
    await bench.clock.advance(100);
    expect([keysOf(web), heard, web.retained.size]).toEqual([
      ["/web/9"],
      keys(0, 9).map((key) => `-${key}`),
      0,
    ]);
  });

  it("lets those return in peace who were held", async () => {
    await begin({ holdMs: 10_000 });
    await write(keys(0, 10), undefined);
    await write(keys(0, 3), "h:2");
    expect([heard, web.retained.size]).toEqual([keys(0, 3).map((key) => `~${key}`), 7]);
    expect(told).toHaveLength(1);
    await bench.clock.advance(10_000);
    expect(keysOf(web)).toEqual(keys(0, 3));
  });

  it("is held for its own time, if all who went before have returned", async () => {
    await begin({ windowMs: 5_000 });
    await write(keys(0, 10), undefined);
    await write(keys(0, 10), "h:2");
    await bench.clock.advance(50_000);
    await write(keys(0, 10), undefined);
    await bench.clock.advance(59_900);
    expect(web.retained.size).toBe(10);
    await bench.clock.advance(100);
    expect(keysOf(web)).toEqual([]);
  });

  it("is held a second time, too, and let go again", async () => {
    await begin({ holdMs: 40_000 });
    await write(keys(0, 10), undefined);
    await bench.clock.advance(40_000);
    await write(keys(0, 10), "h:2");
    await write(keys(0, 10), undefined);
    expect([web.retained.size, told.length]).toEqual([10, 2]);
    await bench.clock.advance(40_000);
    expect(keysOf(web)).toEqual([]);
  });

  it("does not touch who goes alone, up to the share", async () => {
    await begin({});
    for (const key of keys(0, 5)) await write([key], undefined);
    expect([heard.length, web.retained.size]).toEqual([5, 0]);
    await write(["/web/5"], undefined);
    expect([heard.length, web.retained]).toEqual([5, new Set(["/web/5"])]);
  });

  it("forgets who went longer ago than the window", async () => {
    await begin({ windowMs: 5_000 });
    for (const key of keys(0, 5)) await write([key], undefined);
    await bench.clock.advance(5_000);
    await write(keys(5, 7), undefined);
    expect([keysOf(web), web.retained.size]).toEqual([keys(7, 10), 0]);
  });

  it("is none when all are exchanged, one after the other", async () => {
    await begin({});
    for (let index = 0; index < 10; index += 1) {
      await write([`/web/${index + 10}`], "h:2");
      await write([`/web/${index}`], undefined);
    }
    expect([web.retained.size, keysOf(web)]).toEqual([0, keys(10, 20)]);
  });

  it("is none of a service of four, or as few as `atLeast` says", async () => {
    await begin({}, 4);
    await write(keys(0, 4), undefined);
    expect(keysOf(web)).toEqual([]);
    expect(told).toEqual([]);
  });

  it("is held, too, when a list tells of it", async () => {
    await begin({});
    bench.disconnect();
    for (const key of keys(0, 9)) bench.memory.delete(key);
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(3_000);
    bench.connect();
    await bench.clock.advance(6_000);
    expect([web.state.status, keysOf(web), web.retained.size]).toEqual(["live", keys(0, 10), 9]);
    await bench.clock.advance(60_000);
    expect(keysOf(web)).toEqual(["/web/9"]);
  });

  it("is bounded by the first hold, however many follow", async () => {
    await begin({});
    await write(keys(0, 6), undefined);
    for (const key of keys(6, 10)) {
      await bench.clock.advance(10_000);
      await write([key], undefined);
    }
    await bench.clock.advance(20_000);
    expect(keysOf(web)).toEqual([]);
  });

  it("lets nobody go while etcd cannot be heard (D10)", async () => {
    await begin({});
    await write(keys(0, 10), undefined);
    bench.disconnect();
    await bench.clock.advance(600_000);
    expect(keysOf(web)).toEqual(keys(0, 10));
    bench.connect();
    await bench.clock.advance(66_000);
    expect(keysOf(web)).toEqual([]);
  });

  it("leaves nothing behind when it closes meanwhile (D19)", async () => {
    await begin({});
    await write(keys(0, 10), undefined);
    await web.close();
    await bench.clock.advance(60_000);
    expect([keysOf(web), heard]).toEqual([keys(0, 10), []]);
  });

  it("adds up what goes one by one, within the window", async () => {
    await begin({ share: 0.9 }, 120);
    for (let index = 0; index < 100; index += 1) {
      await write([`/web/${index}`], undefined);
      await bench.clock.advance(200);
    }
    expect(web.retained.size).toBe(0);
    await write(keys(100, 120), undefined);
    expect(web.retained.size).toBe(20);
  });
});

describe("The options of a discovery's cache file and mass loss", () => {
  const massLoss = (name: string, value: unknown): object => ({ massLoss: { [name]: value } });

  it.each<[object, string]>([
    [{ cacheFile: "" }, 'cacheFile must be a path, got ""'],
    [{ cacheFile: "a\0b" }, 'cacheFile must be a path, got "a\\u0000b"'],
    [{ cacheFile: 7 }, "cacheFile must be a path, got number"],
    [{ cacheFile: { read() {} } }, "cacheFile must be a path, got object"],
    [{ cacheAfterMs: -1 }, "cacheAfterMs must be a number of at least 0, got -1"],
    [{ cacheAfterMs: "1" }, 'cacheAfterMs must be a number of at least 0, got "1"'],
    [{ cacheMaxAgeMs: 0 }, "cacheMaxAgeMs must be a number above 0, got 0"],
    [{ massLoss: true }, "massLoss must be an object, got boolean"],
    [{ massLoss: false }, "massLoss must be an object, got boolean"],
    [massLoss("share", "0.5"), 'massLoss.share must be a number above 0 and below 1, got "0.5"'],
    [{ signal: 3 }, "signal must be an AbortSignal, got number"],
    [massLoss("share", 1), "massLoss.share must be a number above 0 and below 1, got 1"],
    [massLoss("share", 0), "massLoss.share must be a number above 0 and below 1, got 0"],
    [massLoss("windowMs", 0), "massLoss.windowMs must be a number above 0, got 0"],
    [massLoss("holdMs", Number.NaN), "massLoss.holdMs must be a number above 0, got NaN"],
    [massLoss("atLeast", 1.5), "massLoss.atLeast must be an integer of at least 1, got 1.5"],
  ])("refuse %j before any I/O, and leave nothing behind", async (options, message) => {
    const error = await discover(bench.client, { service: "web", ...options }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: "SD_INVALID_ARGUMENT", message });
    await bench.clock.settle();
    expect(bench.memory.calls).toEqual([]);
  });
});
