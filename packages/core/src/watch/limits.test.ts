import { beforeEach, describe, expect, it } from "vitest";
import { type ClientFixture, openClient } from "../../test/client-fixture.js";
import { bytes } from "../../test/observe.js";
import { RecordingStore } from "../../test/recorders.js";
import { prefixRange } from "./key-range.js";
import { Reflector, type ReflectorOptions } from "./reflector.js";

let fixture: ClientFixture;
let store: RecordingStore;
beforeEach(() => {
  fixture = openClient();
  store = new RecordingStore();
  return () => fixture.end();
});

async function reflect(options: Partial<ReflectorOptions>): Promise<Reflector> {
  const reflector = new Reflector(fixture.client, { range: prefixRange(bytes("/web/")), store, ...options });
  fixture.client.attach(reflector);
  await fixture.clock.settle();
  return reflector;
}
const put = (...keys: readonly string[]): void => {
  for (const key of keys) fixture.etcd.put(`/web/${key}`, "12345");
};
const exceeded = (status: string, text: string) => ({
  status,
  error: { code: "SD_LIMIT_EXCEEDED", message: expect.stringContaining(text) },
});

describe("A reflector with limits (D14)", () => {
  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])("refuses %s for one", (value) => {
    for (const name of ["maxKeys", "maxBytes"]) {
      expect(
        () => new Reflector(fixture.client, { range: prefixRange(bytes("/")), store, [name]: value }),
      ).toThrow(
        expect.objectContaining({
          code: "SD_INVALID_ARGUMENT",
          message: `${name} must be an integer of at least 1, got ${value}`,
        }),
      );
    }
  });

  it("refuses a list of more keys, says so in its state, and asks slowly again", async () => {
    put("a", "b", "c");
    const reflector = await reflect({ maxKeys: 2 });
    expect(reflector.state).toMatchObject(exceeded("syncing", "3 keys, and maxKeys is 2"));
    expect(store.calls).toEqual([]);
    await fixture.clock.advance(90_000);
    expect(fixture.etcd.callsOf("range").length).toBeLessThanOrEqual(4);
    fixture.etcd.delete("/web/b");
    await fixture.clock.advance(36_000);
    expect(reflector.state.status).toBe("live");
    expect(store.size).toBe(2);
  });

  it("stops at the first page of a list that is too long", async () => {
    for (let index = 0; index < 25_000; index += 1) put(`${index}`);
    const reflector = await reflect({ maxKeys: 24_999 });
    expect(reflector.state).toMatchObject(exceeded("syncing", "25000 keys"));
    expect(fixture.etcd.callsOf("range")).toHaveLength(1);
  });

  it("keeps what it has when more keys come, and goes on when there are less", async () => {
    const { clock, etcd } = fixture;
    put("a", "b");
    const reflector = await reflect({ maxKeys: 3 });
    put("c");
    etcd.delete("/web/a");
    put("a");
    await clock.settle();
    expect([store.size, reflector.state.status]).toEqual([3, "live"]);
    const { calls } = store;
    expect(calls).toHaveLength(4);
    put("d");
    await clock.advance(200);
    expect(reflector.state).toMatchObject(exceeded("stale", "4 keys, and maxKeys is 3"));
    await clock.advance(600_000);
    expect(store.content).toEqual({ "/web/a": "12345", "/web/b": "12345", "/web/c": "12345" });
    expect(calls).toHaveLength(4);
    etcd.delete("/web/b");
    await clock.advance(36_000);
    expect([Object.keys(store.content), reflector.state.status]).toEqual([
      ["/web/a", "/web/c", "/web/d"],
      "live",
    ]);
  });

  it("updates at its limit as usual", async () => {
    put("a", "b");
    const reflector = await reflect({ maxKeys: 2 });
    for (let round = 0; round < 50; round += 1) put("a", "b");
    await fixture.clock.settle();
    expect(reflector.state.status).toBe("live");
    expect(store.calls.filter((call) => call.startsWith("replace"))).toHaveLength(1);
  });

  it("holds no more bytes than allowed, by what a list shows", async () => {
    const { clock, etcd } = fixture;
    // 11 bytes each.
    put("a", "b");
    const reflector = await reflect({ maxBytes: 40 });
    for (let round = 0; round < 10; round += 1) {
      put("a");
      await clock.advance(10_000);
    }
    expect([store.size, reflector.state.status]).toEqual([2, "live"]);
    expect(store.position?.revision).toBe(etcd.revision);
    put("c", "d");
    await clock.advance(6_000);
    expect(reflector.state).toMatchObject(exceeded("stale", "44 bytes, and maxBytes is 40"));
    expect(Object.keys(store.content)).toContain("/web/a");
    expect(store.size).toBeLessThan(4);
    etcd.delete("/web/a");
    await clock.advance(36_000);
    expect(Object.keys(store.content)).toEqual(["/web/b", "/web/c", "/web/d"]);
  });
});
