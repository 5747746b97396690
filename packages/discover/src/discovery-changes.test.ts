import { deferred } from "@sd/core";
import { shortChange } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness, keysOf, Reader } from "../test/harness.js";
import { discover, type ServiceDiscovery, startDiscovery } from "./discover.js";

let bench: Harness;
let web: ServiceDiscovery;
beforeEach(async () => {
  bench = new Harness();
  await bench.write({ "/web/a": "h:1", "/web/b": "h:2" });
  web = await bench.run(discover(bench.client, { service: "web" }));
  return () => bench.end();
});

describe("Discovery.changes()", () => {
  it("begins with an added for each that is known, then tells what changes", async () => {
    const changes = new Reader(bench, web.changes());
    expect((await changes.read()).map(shortChange)).toEqual(["+/web/a", "+/web/b"]);
    await bench.write({ "/web/c": "h:3", "/web/a": undefined });
    expect((await changes.read()).map(shortChange)).toEqual(["+/web/c", "-/web/a"]);
    expect((await new Reader(bench, web.changes()).read()).map(shortChange)).toEqual(["+/web/b", "+/web/c"]);
  });

  it("tells an update with what was before, and a removal with what was known last", async () => {
    const changes = new Reader(bench, web.changes());
    await changes.read();
    await bench.write({ "/web/a": "h:9", "/web/b": undefined });
    expect(await changes.read()).toMatchObject([
      { type: "updated", instance: { id: "a", port: 9 }, previous: { id: "a", port: 1 } },
      { type: "removed", instance: { id: "b", port: 2 }, revision: 3 },
    ]);
  });

  it("wakes a reader that waits", async () => {
    const changes = new Reader(bench, web.changes());
    await changes.read();
    const heard: string[] = [];
    const reading = (async () => {
      for await (const change of web.changes()) heard.push(shortChange(change));
    })();
    await bench.clock.settle();
    heard.length = 0;
    await bench.write({ "/web/c": "h:3" });
    await bench.write({ "/web/c": undefined });
    expect(heard).toEqual(["+/web/c", "-/web/c"]);
    await bench.run(web.close());
    await reading;
  });

  it("makes one of the changes of a key that a slow reader has not read", async () => {
    const changes = web.changes();
    await changes.next();
    await changes.next();
    for (let port = 1; port <= 500; port++)
      await bench.write({ "/web/a": `h:${port}`, "/web/x": `h:${port}` });
    await bench.write({ "/web/x": undefined, "/web/b": undefined });
    await bench.write({ "/web/b": "h:7" });
    expect(await new Reader(bench, changes).read()).toMatchObject([
      { type: "updated", instance: { id: "a", port: 500 }, previous: { port: 1 } },
      { type: "updated", instance: { id: "b", port: 7 }, previous: { port: 2 } },
    ]);
  });

  it("leads a reader of any speed to what the snapshot shows, over breaks and compactions", async () => {
    const changes = new Reader(bench, web.changes());
    const known = new Map<string, number>();
    const read = async (): Promise<void> => {
      for (const { type, instance } of await changes.read()) {
        expect(known.has(instance.key)).toBe(type !== "added");
        if (type === "removed") known.delete(instance.key);
        else known.set(instance.key, instance.port);
      }
    };
    for (let round = 1; round < 120; round++) {
      const key = `/web/${(round * 5) % 7}`;
      await bench.write({ [key]: round % 4 === 3 ? undefined : `h:${round}` });
      if (round % 17 === 0) await read();
      if (round % 30 === 0) {
        bench.memory.cut();
        bench.memory.compact(bench.memory.revision);
        await bench.clock.advance(5_000);
      }
    }
    await bench.clock.advance(10_000);
    await read();
    const shown = web.snapshot.instances.map(({ key, port }) => [key, port] as const);
    expect(new Map([...known].sort())).toEqual(new Map([...shown].sort()));
  });

  it("throws its signal's reason, and ends by return()", async () => {
    const controller = new AbortController();
    const changes = new Reader(bench, web.changes({ signal: controller.signal }));
    await changes.read();
    const next = changes.next.catch((error: unknown) => error);
    controller.abort("enough");
    expect(await bench.run(next)).toBe("enough");
    for await (const change of web.changes()) {
      expect(shortChange(change)).toBe("+/web/a");
      break;
    }
  });

  it("begun before the first list tells that list", async () => {
    const api = startDiscovery(bench.client, { service: "api" });
    const changes = new Reader(bench, api.changes());
    bench.memory.put("/api/a", "h:1");
    await bench.clock.settle();
    expect((await changes.read()).map(shortChange)).toEqual(["+/api/a"]);
  });
});

describe("Discovery.snapshots()", () => {
  it("begins with the newest and gives a slow reader the newest only", async () => {
    const snapshots = web.snapshots();
    expect((await snapshots.next()).value).toBe(web.snapshot);
    for (let port = 1; port <= 50; port++) await bench.write({ "/web/a": `h:${port}` });
    const rest = await new Reader(bench, snapshots).read();
    expect(rest).toEqual([web.snapshot]);
    expect(rest[0]?.instances.find(({ id }) => id === "a")?.port).toBe(50);
  });

  it("begun before the first list waits for it, also if it is empty", async () => {
    const api = startDiscovery(bench.client, { service: "api" });
    const snapshots = api.snapshots();
    const first = snapshots.next();
    await bench.clock.settle();
    expect((await bench.run(first)).value).toMatchObject({ revision: 2, instances: [] });
  });

  it("gives no empty one while etcd cannot be heard (D10)", async () => {
    const snapshots = new Reader(bench, web.snapshots());
    await snapshots.read();
    bench.disconnect();
    await bench.clock.advance(600_000);
    expect(await new Reader(bench, web.snapshots()).read()).toEqual([web.snapshot]);
    expect(web.snapshot.instances).toHaveLength(2);
    bench.connect();
  });
});

describe("Discovery.close()", () => {
  it("ends everything: iterators, listeners, streams and timers (D19)", async () => {
    const changes = new Reader(bench, web.changes());
    const snapshots = new Reader(bench, web.snapshots());
    await changes.read();
    await snapshots.read();
    const heard: unknown[] = [];
    web.onChanges((news) => heard.push(news));
    const ends = Promise.all([changes.next, snapshots.next]);
    await bench.run(web.close());
    expect((await ends).map(({ done }) => done)).toEqual([true, true]);
    expect(web.state).toEqual({ status: "closed" });
    expect(bench.clock.pending).toBe(0);
    expect(bench.memory.openStreams).toBe(0);
    await bench.write({ "/web/c": "h:3" });
    await bench.clock.advance(60_000);
    expect(heard).toEqual([]);
    expect([keysOf(web), web.pick().id]).toEqual([["/web/a", "/web/b"], "a"]);
  });

  it("delivers nothing any more, what was unread included (D19)", async () => {
    const [changes, snapshots] = [web.changes(), web.snapshots()];
    await changes.next();
    await bench.write({ "/web/c": "h:3" });
    await bench.run(web.close());
    expect(await changes.next()).toEqual({ done: true, value: undefined });
    expect(await snapshots.next()).toEqual({ done: true, value: undefined });
    expect(keysOf(web)).toEqual(["/web/a", "/web/b", "/web/c"]);
  });

  it("is waited for by the client's close() until all has ended, also if it began before", async () => {
    const held = deferred<void>();
    const order: string[] = [];
    const client = bench.newClient({
      wrap: (transport) => ({
        range: (request, options) => held.promise.then(() => transport.range(request, options)),
      }),
    });
    const api = startDiscovery(client, { service: "api" });
    await bench.clock.settle();
    const ends = [
      api.close().then(() => order.push("discovery")),
      client.close().then(() => order.push("client")),
    ];
    await bench.clock.settle();
    expect(order).toEqual([]);
    held.resolve();
    await bench.run(Promise.all(ends));
    expect(order).toEqual(["discovery", "client"]);
  });

  it("gives a listener that closes as well the same promise", async () => {
    let inner: Promise<void> | undefined;
    web.subscribe(() => {
      inner = web.close();
    });
    const outer = web.close();
    expect(inner).toBe(outer);
    await outer;
  });

  it("is idempotent, and lets late iterators end at once (D19)", async () => {
    const first = web.close();
    expect(web.close()).toBe(first);
    await bench.run(first);
    await web[Symbol.asyncDispose]();
    const late: string[] = [];
    for await (const change of web.changes()) late.push(shortChange(change));
    for await (const { instances } of web.snapshots()) late.push(`${instances.length}`);
    expect(late).toEqual([]);
    await web.ready();
  });

  it("may be called by a listener", async () => {
    const api = startDiscovery(bench.client, { service: "api" });
    const closed: Promise<void>[] = [];
    api.subscribe(() => void closed.push(api.close()));
    api.onChanges(() => void closed.push(api.close()));
    await bench.clock.settle();
    await bench.run(Promise.all(closed));
    expect(api.state).toEqual({ status: "closed" });
  });

  it("is called by the client's close()", async () => {
    await bench.run(bench.client.close());
    expect(web.state).toEqual({ status: "closed" });
    expect(bench.clock.pending).toBe(0);
  });

  const faults: [name: string, fault: (bench: Harness) => void][] = [
    ["well", () => {}],
    ["frozen", ({ memory }) => memory.freeze()],
    ["cut off", ({ memory }) => memory.cut()],
    ["refusing", (each) => each.disconnect()],
    ["compacted", ({ memory }) => memory.compact(memory.revision)],
  ];
  it.each(faults)(
    "works at any step of a beginning, with etcd %s; ready() rejects then",
    async (_, fault) => {
      for (let step = 0; step < 60; step++) {
        await bench.end();
        bench = new Harness();
        bench.memory.put("/api/a", "h:1");
        const api = startDiscovery(bench.client, { service: "api" });
        for (let count = 0; count < step; count++) await Promise.resolve();
        const wasReady = api.state.status === "live";
        fault(bench);
        const ready = api.ready().then(
          () => "ready",
          (error: { readonly code: string }) => error.code,
        );
        await bench.run(api.close());
        expect(await ready).toBe(wasReady ? "ready" : "SD_CLOSED");
        bench.memory.thaw();
        bench.memory.accept();
        await bench.clock.settle();
        expect(bench.clock.pending).toBe(0);
        expect(bench.memory.openStreams).toBe(0);
      }
    },
  );
});
