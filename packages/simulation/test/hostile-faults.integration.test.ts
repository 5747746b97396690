import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createClient, DEFAULT_WEIGHT, type EtcdClient } from "@sd/core";
import { discover, type ServiceDiscovery } from "@sd/discover";
import { register } from "@sd/register";
import { leakCheck, startEtcd, type TestEtcd } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newest, Pair } from "./pair.js";

const leaks = leakCheck();
afterAll(() => leaks.assertClean({ withinMs: 3_000 }));

const deep = (count: number): string => `${"[".repeat(count)}${"]".repeat(count)}`;

describe.each(newest())("a registration and a discovery among hostile data, on $name", ({ binary }) => {
  let etcd: TestEtcd;
  let writer: EtcdClient;
  let pair: Pair;
  /** A service of its own for each test. */
  let service = "";
  let rejected: { readonly key: string; readonly error: unknown }[];
  const onRejected = (message: unknown): void => void rejected.push(message as (typeof rejected)[number]);

  beforeAll(async () => {
    etcd = await startEtcd({ binary });
    writer = createClient({ endpoints: etcd.process.endpoint });
  });
  afterAll(async () => {
    await writer.close();
    await etcd[Symbol.asyncDispose]();
  });
  beforeEach(async ({ task }) => {
    service = task.id;
    rejected = [];
    subscribe("sd:instance:rejected", onRejected);
    pair = await Pair.start(etcd, { service });
  });
  afterEach(async () => {
    unsubscribe("sd:instance:rejected", onRejected);
    await pair[Symbol.asyncDispose]();
  });

  /** Writes bytes under a key of bytes. */
  async function put(id: string | Uint8Array, value: string | Uint8Array): Promise<void> {
    const { id: lease } = await writer.leases.grant({ ttlSeconds: 600 });
    const key = Buffer.concat([Buffer.from(`/${service}/`), Buffer.from(id)]);
    await writer.transport.txn({
      compare: [],
      success: [{ type: "put", key, value: Buffer.from(value), lease }],
      failure: [],
    });
  }

  /** The good ones are shown and followed, told to a discovery that lists now too, and nobody has noticed. */
  async function unharmed(...ids: string[]): Promise<ServiceDiscovery> {
    await put("witness", "localhost:1");
    await expect(pair.web).toConverge(["node1", "witness", ...ids]);
    const later = await discover(writer, { service });
    await expect(later).toConverge(["node1", "witness", ...ids]);
    expect(pair.serverStates.statuses).toEqual(["registered"]);
    expect(pair.webStates.statuses).toEqual(["live"]);
    expect(pair.changes).toBeConsistent();
    return later;
  }

  it("F70 invalid JSON, wrong types, no address, bad ports and weights: left out, each alone", async () => {
    const bad = [
      '{"address":',
      "localhost",
      "localhost:0",
      "localhost:70000",
      '{"weight":1}',
      '{"address":["localhost:1"]}',
      '{"address":"localhost:1","weight":NaN}',
      '{"address":"localhost:1","weight":"1"}',
      '{"address":"localhost:1","weight":-1}',
      "null",
      "",
    ];
    for (const [index, value] of bad.entries()) await put(`bad${index}`, value);
    await using later = await unharmed();
    expect([pair.web.rejected.size, later.rejected.size]).toEqual([bad.length, bad.length]);
    await put("bad0", "localhost:2");
    await expect(pair.web).toConverge(["node1", "witness", "bad0"]);
  });

  it("F71 __proto__, constructor, depth of 10,000, fields twice, 1e400: no prototype is touched", async () => {
    await put(
      "__proto__",
      '{"address":"localhost:2","metadata":{"__proto__":"x","constructor":"y","toString":"z"}}',
    );
    await put(
      "constructor",
      '{"address":"localhost:3","__proto__":{"weight":99},"constructor":{"prototype":{"polluted":1}}}',
    );
    await put("twice", '{"address":"localhost:4","address":"localhost:5"}');
    await put("deep", `{"address":"localhost:1","x":${deep(10_000)}}`);
    await put("endless", '{"address":"localhost:1","weight":1e400}');
    await using later = await unharmed("__proto__", "constructor", "twice");
    expect([...later.rejected.keys()].map((key) => key.split("/").at(-1)).sort()).toEqual([
      "deep",
      "endless",
    ]);
    const byId = new Map(later.snapshot.instances.map((instance) => [instance.id, instance]));
    const metadata = byId.get("__proto__")?.metadata ?? {};
    expect("hasOwnProperty" in metadata, "nothing is inherited").toBe(false);
    expect(Object.entries(metadata).sort()).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
      ["toString", "z"],
    ]);
    expect([byId.get("constructor")?.weight, byId.get("twice")?.port]).toEqual([DEFAULT_WEIGHT, 5]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("F73 keys and values that are not UTF-8, NUL in a key: no two become one", async () => {
    const start = pair.web.rejected.size;
    await put(Uint8Array.of(0x80), "localhost:2");
    await put(Uint8Array.of(0x81), "localhost:3");
    await put("\ufffd", "localhost:4");
    await put("a\0b", "localhost:5");
    await put("value", Uint8Array.of(0x7b, 0xff, 0xfe));
    await using later = await unharmed();
    expect([pair.web.rejected.size - start, later.rejected.size]).toEqual([5, 5]);
    expect(new Set(rejected.map(({ key }) => key)).size).toBe(5);
  });

  it("F74 HTML, escape sequences, bidi marks, newlines: kept as text, and reported without control characters", async () => {
    const evil = "<img src=x onerror=alert(1)>\n\u001b[2J\u001b]0;title\u0007\u202e\u2028";
    await put("page", JSON.stringify({ address: "localhost:2", metadata: { note: evil } }));
    await put(`line\n2024 I | forged\u001b[31m`, "localhost:3");
    await put("address", `localhost:1\n\u001b[2J`);
    await using later = await unharmed("page");
    expect(later.snapshot.instances.find(({ id }) => id === "page")?.metadata["note"]).toBe(evil);
    expect(later.rejected.size).toBe(2);
    expect(rejected.length).toBeGreaterThanOrEqual(2);
    for (const { key, error } of rejected) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      expect(`${key} ${(error as Error).message}`).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/);
    }
  });

  it("F75 names that begin alike, or hold a slash: each service has its own instances", async () => {
    const names = [`${service}-admin`, `${service}/x`, `${service}.`, `${service}%2Fx`];
    const servers = await Promise.all(
      names.map((name) => register(writer, { service: name, id: "other", address: "localhost:2" })),
    );
    await put("deeper/x", "localhost:3");
    await using later = await unharmed();
    expect([...later.rejected.keys()]).toEqual([`/${service}/deeper/x`]);
    for (const name of names) {
      await using web = await discover(writer, { service: name });
      expect(web.snapshot.instances.map(({ service: of, id }) => [of, id])).toEqual([[name, "other"]]);
    }
    await Promise.all(servers.map((server) => server.close()));
  });
});
