import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { SdError } from "@sd/core";
import { recordStates, shortChange } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness, keysOf } from "../test/harness.js";
import { discover, startDiscovery } from "./discover.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const begin = () => bench.run(discover(bench.client, { service: "web" }));

describe("Discovery: the start", () => {
  it("is ready only after the list and the creation of the watch (D17)", async () => {
    bench.memory.put("/web/a", "h:1");
    bench.memory.dropNextRequest("watch");
    const web = startDiscovery(bench.client, { service: "web" });
    let isReady = false;
    const ready = web.ready().then(() => {
      isReady = true;
    });
    await bench.clock.settle();
    expect([isReady, web.state.status, keysOf(web)]).toEqual([false, "syncing", ["/web/a"]]);
    await bench.run(ready, 1_000);
    expect(web.state).toEqual({ status: "live" });
  });

  it("misses nothing between the list and the watch (D5)", async () => {
    bench.memory.put("/web/a", "h:1");
    bench.memory.dropNextRequest("watch");
    const web = startDiscovery(bench.client, { service: "web" });
    await bench.clock.settle();
    await bench.write({ "/web/a": undefined, "/web/b": "h:2" });
    await bench.run(web.ready(), 1_000);
    await bench.clock.settle();
    expect(keysOf(web)).toEqual(["/web/b"]);
  });

  it("waits while etcd is down, shows why, and is ready later (D17)", async () => {
    bench.memory.refuse();
    const web = startDiscovery(bench.client, { service: "web" });
    const seen = recordStates(web);
    await bench.clock.advance(120_000);
    expect(web.state).toMatchObject({ status: "syncing", error: { code: "SD_UNAVAILABLE" } });
    expect(web.snapshot).toMatchObject({ revision: 0, instances: [] });
    bench.memory.put("/web/a", "h:1");
    bench.memory.accept();
    await bench.run(web.ready(), 5_500);
    expect(keysOf(web)).toEqual(["/web/a"]);
    expect(seen.statuses).toEqual(["syncing", "live"]);
  });

  it("is ready with nothing, if there is nothing", async () => {
    const web = await begin();
    expect(web.snapshot).toMatchObject({ revision: 1, epoch: 1, instances: [] });
  });

  it("ends the waiting by a signal, and goes on", async () => {
    bench.memory.refuse();
    const web = startDiscovery(bench.client, { service: "web" });
    const controller = new AbortController();
    const ready = web.ready({ signal: controller.signal }).catch((error: unknown) => error);
    controller.abort("enough");
    expect(await ready).toBe("enough");
    bench.memory.accept();
    await bench.run(web.ready(), 5_000);
  });
});

describe("Discovery.snapshot", () => {
  it("is a value: the same until something changes, and never changed itself", async () => {
    bench.memory.put("/web/a", "h:1");
    const web = await begin();
    const before = web.snapshot;
    expect(web.snapshot).toBe(before);
    await bench.write({ "/web/b": "h:2" });
    expect(before).toMatchObject({ revision: 2 });
    expect(before.instances.map(({ id }) => id)).toEqual(["a"]);
    expect(web.snapshot).toMatchObject({ revision: 3, epoch: 1 });
    for (const part of [before, before.instances, before.instances[0], before.instances[0]?.metadata]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it("shows what etcd held at its revision, at each of them (D1)", async () => {
    const web = await begin();
    const states: [revision: number, keys: string[]][] = [];
    web.onChanges(() => states.push([web.snapshot.revision, keysOf(web)]));
    for (let round = 0; round < 40; round++) {
      const key = `/web/${(round * 7) % 5}`;
      await bench.write(
        round % 3 === 2 ? { [key]: undefined, "/web/z": "h:1" } : { [key]: `h:${round + 1}` },
      );
      if (round === 20) bench.memory.cut();
      await bench.clock.advance(500);
    }
    expect(states.length).toBeGreaterThan(20);
    const range = { key: Buffer.from("/web/"), rangeEnd: Buffer.from("/web0") };
    for (const [revision, keys] of states) {
      const { kvs } = bench.memory.range({ ...range, revision });
      expect(keys).toEqual(kvs.map(({ key }) => Buffer.from(key).toString()));
    }
  });

  it("knows its age", async () => {
    const web = await begin();
    const { snapshot } = web;
    await bench.clock.advance(1_500);
    expect(snapshot.ageMs).toBe(1_500);
    await bench.write({ "/web/a": "h:1" });
    expect(web.snapshot.ageMs).toBe(0);
  });
});

describe("Discovery.onChanges()", () => {
  it("shows all keys of a transaction at once, never one without the other (D4)", async () => {
    const web = await begin();
    const heard: string[][] = [];
    const shown: string[][] = [];
    web.onChanges((changes, position) => {
      heard.push(changes.map(shortChange));
      shown.push(keysOf(web));
      expect(web.snapshot).toMatchObject(position);
    });
    await bench.write({ "/web/a": "h:1", "/web/b": "h:1" });
    await bench.write({ "/web/a": undefined, "/web/b": undefined, "/web/c": "h:1" });
    expect(heard).toEqual([
      ["+/web/a", "+/web/b"],
      ["-/web/a", "-/web/b", "+/web/c"],
    ]);
    expect(shown).toEqual([["/web/a", "/web/b"], ["/web/c"]]);
  });

  it("shows whole transactions also to who hears of a rejected value in one (D1, D4)", async () => {
    await bench.write({ "/web/a": "h:1", "/web/b": "h:1" });
    const web = await begin();
    const shown: unknown[] = [];
    const look = (): void => {
      const { revision, instances } = web.snapshot;
      shown.push([revision, ...instances.map(({ id, address }) => `${id} ${address}`)]);
    };
    await bench.write({ "/web/z": "h:9" });
    subscribe("sd:instance:rejected", look);
    await bench.write({ "/web/a": "h:2", "/web/c": "rubbish", "/web/b": "h:2" });
    unsubscribe("sd:instance:rejected", look);
    expect(shown).toEqual([[4, "a h:2", "b h:2", "z h:9"]]);
  });

  it("tells each change once, in order, over breaks of the connection (D2, D3)", async () => {
    const web = await begin();
    const revisions: number[] = [];
    web.onChanges((changes) => {
      for (const { type, instance } of changes) if (type !== "removed") revisions.push(instance.modRevision);
    });
    const written: number[] = [];
    for (let round = 0; round < 50; round++) {
      written.push(bench.memory.put(`/web/${round % 4}`, `h:${round + 1}`));
      if (round % 10 === 5) bench.memory.cut();
      await bench.clock.advance(100);
    }
    await bench.clock.advance(5_000);
    expect(revisions).toEqual(written);
  });

  it("ends by dispose", async () => {
    const web = await begin();
    const heard: unknown[] = [];
    web.onChanges((changes) => heard.push(changes))[Symbol.dispose]();
    await bench.write({ "/web/a": "h:1" });
    expect(heard).toEqual([]);
  });

  it.each([new Error("mine"), undefined, "text", null])(
    "is not harmed by a listener that throws %s",
    async (thrown) => {
      const heard: unknown[] = [];
      const hear = (message: unknown): void => void heard.push(message);
      const web = await begin();
      const counts = { changes: 0, states: 0 };
      web.onChanges(() => {
        throw thrown;
      });
      web.onChanges(() => counts.changes++);
      web.subscribe(() => {
        throw thrown;
      });
      web.subscribe(() => counts.states++);
      const warned = new Promise((resolve) => process.once("warning", resolve));
      await bench.write({ "/web/a": "h:1" });
      await warned;
      subscribe("sd:listener:failed", hear);
      bench.memory.cut();
      await bench.clock.advance(6_000);
      unsubscribe("sd:listener:failed", hear);
      expect(heard).toEqual([{ error: thrown }, { error: thrown }]);
      expect(counts).toEqual({ changes: 1, states: 2 });
      expect([web.state.status, keysOf(web)]).toEqual(["live", ["/web/a"]]);
    },
  );
});

describe("Discovery: bad values (D13)", () => {
  it("leaves out one that turns bad and takes it back when it is good again", async () => {
    bench.memory.put("/web/a", "h:1");
    bench.memory.put("/web/b", "{");
    const web = await begin();
    const heard: string[] = [];
    web.onChanges((changes) => heard.push(...changes.map(shortChange)));
    expect(keysOf(web)).toEqual(["/web/a"]);
    expect(SdError.is(web.rejected.get("/web/b"), "SD_INVALID_ARGUMENT")).toBe(true);
    await bench.write({ "/web/a": '{"address":"h:1","weight":-1}', "/web/b": "h:2", "/web/c": "h:3" });
    expect([keysOf(web), [...web.rejected.keys()]]).toEqual([["/web/b", "/web/c"], ["/web/a"]]);
    await bench.write({ "/web/a": "h:1" });
    expect(web.rejected.size).toBe(0);
    expect(heard).toEqual(["-/web/a", "+/web/b", "+/web/c", "+/web/a"]);
    expect(web.state.status).toBe("live");
  });
});

describe("Discovery.pick()", () => {
  it("picks what the first list holds, also if it was called in vain before", async () => {
    bench.memory.put("/web/a", "h:1");
    const web = startDiscovery(bench.client, { service: "web" });
    expect(() => web.pick()).toThrow("no instance of /web/ is known");
    await bench.run(web.ready());
    expect(web.pick().id).toBe("a");
  });

  it("takes each in turn, but those of weight 0, also while they change", async () => {
    await bench.write({ "/web/a": "h:1", "/web/b": "h:2", "/web/c": "h:3" });
    await bench.write({ "/web/d": '{"address":"h:4","weight":0}' });
    const web = await begin();
    const counts = new Map<string, number>();
    for (let round = 0; round < 300; round++) {
      const { id } = web.pick();
      counts.set(id, (counts.get(id) ?? 0) + 1);
      if (round % 10 === 0) await bench.write({ "/web/b": `{"address":"h:2","version":"${round}"}` });
    }
    expect(Object.fromEntries(counts)).toEqual({ a: 100, b: 100, c: 100 });
    await bench.write({ "/web/a": '{"address":"h:1","weight":0}' });
    expect(new Set([web.pick().id, web.pick().id, web.pick().id])).toEqual(new Set(["b", "c"]));
  });

  it("throws SD_NO_INSTANCE when there is none, or none with a weight", async () => {
    const web = startDiscovery(bench.client, { service: "web" });
    const outcome = (): unknown => {
      try {
        return web.pick().id;
      } catch (error) {
        return SdError.is(error, "SD_NO_INSTANCE") ? error.message : error;
      }
    };
    expect(outcome()).toBe("no instance of /web/ is known");
    await bench.run(web.ready());
    await bench.write({ "/web/a": '{"address":"h:1","weight":0}' });
    expect(outcome()).toBe("no instance of /web/ can be picked: 1 known, each of weight 0");
    await bench.write({ "/web/a": "h:1" });
    expect(outcome()).toBe("a");
  });
});
