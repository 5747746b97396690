import { defaultFormat, type InstanceRecord, SdError } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness, keysOf } from "../test/harness.js";
import { discover, discoverPrefix, startDiscovery, startPrefixDiscovery } from "./discover.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const failure = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

describe("discover()", () => {
  it("resolves with what is there, read from either form of the documented format", async () => {
    bench.memory.put("/web/node1", "localhost:8000");
    bench.memory.put(
      "/web/node2",
      '{"address":"[::1]:9","weight":3,"zone":"a","metadata":{"x":"1"},"more":1}',
    );
    const web = await bench.run(discover(bench.client, { service: "web" }));
    expect(web.state).toEqual({ status: "live" });
    expect(web.snapshot.instances).toEqual([
      {
        ...{ service: "web", id: "node1", key: "/web/node1" },
        ...{ address: "localhost:8000", host: "localhost", port: 8000, weight: 1 },
        ...{ version: undefined, zone: undefined, metadata: {} },
        ...{ leaseId: 0n, createRevision: 2, modRevision: 2 },
      },
      {
        ...{ service: "web", id: "node2", key: "/web/node2" },
        ...{ address: "[::1]:9", host: "::1", port: 9, weight: 3 },
        ...{ version: undefined, zone: "a", metadata: { x: "1" } },
        ...{ leaseId: 0n, createRevision: 3, modRevision: 3 },
      },
    ]);
  });

  it("does not mix web with web-admin, nor with what lies deeper (F75)", async () => {
    for (const key of ["/web/a", "/web-admin/b", "/web/x/y", "/web", "/web0/c", "/webb/d", "/we/b"]) {
      bench.memory.put(key, "localhost:1");
    }
    const web = await bench.run(discover(bench.client, { service: "web" }));
    const admin = await bench.run(discover(bench.client, { service: "web-admin" }));
    expect(keysOf(web)).toEqual(["/web/a"]);
    expect([...web.rejected.keys()]).toEqual(["/web/x/y"]);
    expect(keysOf(admin)).toEqual(["/web-admin/b"]);
    await bench.write({ "/web-admin/e": "localhost:1", "/web/f": "localhost:1" });
    expect([keysOf(web), keysOf(admin)]).toEqual([
      ["/web/a", "/web/f"],
      ["/web-admin/b", "/web-admin/e"],
    ]);
  });

  it("finds services and instances of any name, those of Object.prototype included", async () => {
    for (const service of ["__proto__", "a/b", "größe"]) {
      const discovery = await bench.run(discover(bench.client, { service }));
      bench.memory.put(
        `${discovery.prefix}constructor`,
        '{"address":"h:1","metadata":{"__proto__":"x","toString":"y"}}',
      );
      await bench.clock.settle();
      const [instance] = discovery.snapshot.instances;
      expect(instance).toMatchObject({ service, id: "constructor" });
      expect(instance?.metadata["valueOf"]).toBe(undefined);
      expect(Object.entries(instance?.metadata ?? {})).toEqual([
        ["__proto__", "x"],
        ["toString", "y"],
      ]);
    }
    expect(({} as Record<string, unknown>)["toString"]).toBe(Object.prototype.toString);
  });

  it.each([
    ["a weight", "infinite", { weight: Number.POSITIVE_INFINITY }],
    ["a weight", "no number", { weight: Number.NaN }],
    ["a weight", "negative", { weight: -1 }],
    ["a zone", "a number", { zone: 7 }],
    ["metadata", "nested", { metadata: { a: {} } }],
  ])(
    "leaves out %s that is %s, though the format gives it, and picks the others (D13)",
    async (...[, , fields]) => {
      bench.memory.put("/web/a", "bad");
      bench.memory.put("/web/b", "good");
      const read = (value: Uint8Array) =>
        ({
          address: "localhost:1",
          ...(Buffer.from(value).toString() === "bad" && fields),
        }) as InstanceRecord;
      const format = { ...defaultFormat, read };
      const web = await bench.run(discover(bench.client, { service: "web", format, balancer: "weighted" }));
      expect(keysOf(web)).toEqual(["/web/b"]);
      expect(web.rejected.get("/web/a")).toMatchObject({ code: "SD_INVALID_ARGUMENT" });
      expect([web.pick().id, web.pick().id]).toEqual(["b", "b"]);
    },
  );

  it("reads and refuses by the format that is given", async () => {
    bench.memory.put("/web/a", "5000");
    bench.memory.put("/web/b", "localhost:1");
    const format = {
      ...defaultFormat,
      read: (value: Uint8Array) => defaultFormat.read(Buffer.from(`127.0.0.1:${Buffer.from(value)}`)),
    };
    const web = await bench.run(discover(bench.client, { service: "web", format }));
    expect(web.snapshot.instances.map(({ address }) => address)).toEqual(["127.0.0.1:5000"]);
    expect([...web.rejected.keys()]).toEqual(["/web/b"]);
  });

  it("refuses a wrong name before any I/O", async () => {
    for (const service of ["", ".", "a\n", "x".repeat(129)]) {
      const error = await failure(discover(bench.client, { service }));
      expect(SdError.is(error, "SD_INVALID_ARGUMENT")).toBe(true);
      expect(() => startDiscovery(bench.client, { service })).toThrow("service");
    }
    await bench.clock.settle();
    expect(bench.memory.calls).toEqual([]);
  });

  it("is closed by its signal, with the signal's own reason", async () => {
    bench.memory.refuse();
    const controller = new AbortController();
    const work = failure(discover(bench.client, { service: "web", signal: controller.signal }));
    await bench.clock.advance(10_000);
    controller.abort("enough");
    expect(await bench.run(work)).toBe("enough");
    expect(bench.clock.pending).toBe(0);
    bench.memory.clearCalls();
    expect(await failure(discover(bench.client, { service: "web", signal: AbortSignal.abort("no") }))).toBe(
      "no",
    );
    expect(bench.memory.calls).toEqual([]);
  });

  it("takes options that are present but undefined as absent", async () => {
    bench.memory.put("/web/a", "h:1");
    const none = { format: undefined, signal: undefined };
    const web = await bench.run(discover(bench.client, { service: "web", ...none }));
    await web.ready({ signal: none.signal });
    expect((await web.changes({ signal: none.signal }).next()).value).toMatchObject({ type: "added" });
    expect((await web.snapshots({ signal: none.signal }).next()).value).toBe(web.snapshot);
    await bench.run(discoverPrefix(bench.client, "/web/", { signal: none.signal }));
  });

  it("refuses a closed client", async () => {
    await bench.client.close();
    const error = await failure(discover(bench.client, { service: "web" }));
    expect(SdError.is(error, "SD_CLOSED")).toBe(true);
  });
});

describe("discoverPrefix()", () => {
  it("finds every key under the prefix, with its value as text and bytes", async () => {
    bench.memory.put("/web/a", "any thing");
    bench.memory.put("/web/b/c", Uint8Array.of(0xff));
    const web = await bench.run(discoverPrefix(bench.client, "/web/"));
    expect(web.snapshot.instances).toMatchObject([
      { key: "/web/a", value: "any thing", leaseId: 0n, createRevision: 2, modRevision: 2 },
      { key: "/web/b/c", value: "\ufffd", valueBytes: Uint8Array.of(0xff) },
    ]);
    expect(web.pick().key).toBe("/web/a");
  });

  it("keeps a copy of each value, not the whole list that it came in", async () => {
    const list = Buffer.from("/web/a1/web/b2");
    const kv = { createRevision: 2, modRevision: 2, version: 1, lease: 0n };
    const kvs = [
      { ...kv, key: list.subarray(0, 6), value: list.subarray(6, 7) },
      { ...kv, key: list.subarray(7, 13), value: list.subarray(13) },
    ];
    const client = bench.newClient({
      wrap: (transport) => ({
        range: async (request, options) => ({ ...(await transport.range(request, options)), kvs }),
      }),
    });
    const web = await bench.run(discoverPrefix(client, "/web/"));
    list.fill(0);
    const values = web.snapshot.instances.map(({ valueBytes }) => valueBytes);
    expect(values).toEqual([Uint8Array.of(0x31), Uint8Array.of(0x32)]);
    expect(values.map(({ buffer }) => buffer.byteLength)).toEqual([1, 1]);
  });

  it.each(["", "/web", "/web/a"])(
    "refuses the prefix %j, which does not end with a slash",
    async (prefix) => {
      expect(() => startPrefixDiscovery(bench.client, prefix)).toThrow(`got ${JSON.stringify(prefix)}`);
      const error = await failure(discoverPrefix(bench.client, prefix));
      expect(SdError.is(error, "SD_INVALID_ARGUMENT")).toBe(true);
      await bench.clock.settle();
      expect(bench.memory.calls).toEqual([]);
    },
  );

  it("leaves out keys that are not UTF-8, and merges none of them", async () => {
    const [first, second] = [Buffer.from("/web/\xff", "latin1"), Buffer.from("/web/\xfe", "latin1")];
    bench.memory.put(first, "1");
    bench.memory.put(second, "2");
    bench.memory.put("/web/\ufffd", "3");
    const web = await bench.run(discoverPrefix(bench.client, "/web/"));
    expect(web.snapshot.instances).toMatchObject([{ key: "/web/\ufffd", value: "3" }]);
    expect([...web.rejected.keys()].sort()).toEqual(["/web/\\xfe", "/web/\\xff"]);
    bench.memory.delete(first);
    await bench.clock.settle();
    expect([...web.rejected.keys()]).toEqual(["/web/\\xfe"]);
    expect(keysOf(web)).toEqual(["/web/\ufffd"]);
  });

  it("refuses to wait with what is no signal, or no options", async () => {
    const web = startPrefixDiscovery(bench.client, "/web/");
    for (const wait of [web.ready, web.usable]) {
      for (const [options, message] of [
        [{ signal: 3, timeoutMs: 50 }, "signal must be an AbortSignal, got number"],
        [null, "the options of waiting must be an object, got null"],
      ]) {
        const refused = wait.call(web, options as never);
        await expect(refused).rejects.toMatchObject({ code: "SD_INVALID_ARGUMENT", message });
      }
    }
    // A timer that was left would throw.
    await bench.clock.advance(100);
    const wrong = { signal: 3 as never };
    expect(() => web.changes(wrong)).toThrow("signal must be an AbortSignal, got number");
    expect(() => web.snapshots(wrong)).toThrow("signal must be an AbortSignal, got number");
  });
});
