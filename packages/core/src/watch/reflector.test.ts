import { beforeEach, describe, expect, it } from "vitest";
import { type ClientFixture, type ClientFixtureOptions, openClient } from "../../test/client-fixture.js";
import { bytes } from "../../test/observe.js";
import { RecordingStore } from "../../test/recorders.js";
import { failure } from "../../test/scripted-transport.js";
import { prefixRange } from "./key-range.js";
import { Reflector } from "./reflector.js";

let fixture: ClientFixture;
let store: RecordingStore;
beforeEach(() => {
  fixture = openClient();
  store = new RecordingStore();
  return () => fixture.end();
});

/** A reflector of `/web/` that ends with the fixture's client. */
function reflect(options: { readonly revision?: number } = {}): Reflector {
  const { client } = fixture;
  const reflector = new Reflector(client, { range: prefixRange(bytes("/web/")), store, ...options });
  client.attach(reflector);
  return reflector;
}

/** Exchanges the fixture before anything was done with it. */
async function reopen(options: ClientFixtureOptions): Promise<void> {
  await fixture.end();
  fixture = openClient(options);
}

const statuses = (reflector: Reflector): string[] => {
  const seen: string[] = [reflector.state.status];
  reflector.subscribe(({ status }) => seen.push(status));
  return seen;
};
const starts = () =>
  fixture.etcd
    .callsOf("watchRequest")
    .flatMap(({ request }) => (request.type === "create" ? [request.startRevision] : []));

describe("Reflector", () => {
  it("lists, then watches from the next revision on, and misses nothing between (D5)", async () => {
    const { clock, etcd } = fixture;
    etcd.put("/web/a", "1");
    etcd.put("/other", "1");
    const reflector = reflect();
    const seen = statuses(reflector);
    etcd.holdWatchEvents();
    await clock.settle();
    expect([store.calls, starts()]).toEqual([["replace 1 -> 3"], [4]]);
    etcd.put("/web/b", "2");
    etcd.delete("/web/a");
    etcd.releaseWatchEvents();
    await clock.settle();
    expect(store.content).toEqual({ "/web/b": "2" });
    expect(store.calls).toEqual(["replace 1 -> 3", "apply 1 -> 4", "apply 1 -> 5"]);
    expect(seen).toEqual(["syncing", "live"]);
  });

  it("misses nothing that happens between the list and the watch (D5)", async () => {
    const { clock, etcd } = fixture;
    etcd.put("/web/a", "1");
    // The stream opens only after the write that the list did not see.
    etcd.dropNextRequest("watch");
    reflect();
    await clock.settle();
    etcd.put("/web/b", "2");
    etcd.delete("/web/a");
    await clock.advance(1_000);
    expect(store.content).toEqual({ "/web/b": "2" });
    expect(starts()).toEqual([3]);
  });

  it("is not live after an outage before it has caught up with it (D16)", async () => {
    const { clock, etcd } = fixture;
    etcd.put("/web/a", "1");
    const reflector = reflect();
    await clock.settle();
    etcd.cut();
    etcd.refuse();
    await clock.advance(10_000);
    etcd.put("/web/b", "2");
    etcd.holdWatchEvents();
    etcd.accept();
    while (starts().length < 2) await clock.advance(10);
    await clock.advance(400);
    expect(reflector.state.status).toBe("stale");
    expect(store.content).toEqual({ "/web/a": "1" });
    etcd.releaseWatchEvents();
    await clock.settle();
    expect(store.content).toEqual({ "/web/a": "1", "/web/b": "2" });
    expect(reflector.state.status).toBe("live");
  });

  it("is live half a second after an outage in which only other keys were written (D16)", async () => {
    const { clock, etcd } = fixture;
    const reflector = reflect();
    await clock.settle();
    etcd.cut();
    etcd.refuse();
    await clock.advance(10_000);
    etcd.put("/other", "2");
    etcd.accept();
    const seen = statuses(reflector);
    await clock.advance(6_000);
    expect(seen).toEqual(["stale", "live"]);
    expect(store.calls).toEqual(["replace 0 -> 1"]);
  });

  it("is live at once after a list, though other keys were written since (D16)", async () => {
    const { clock, etcd } = fixture;
    etcd.dropNextRequest("watch");
    const reflector = reflect();
    await clock.settle();
    etcd.put("/other", "2");
    const seen = statuses(reflector);
    etcd.holdWatchEvents();
    await clock.advance(500);
    expect(seen).toEqual(["syncing", "live"]);
  });

  it("is live only once the watch stands (D17)", async () => {
    const { clock, etcd } = fixture;
    etcd.dropNextRequest("watch");
    const reflector = reflect();
    await clock.settle();
    expect(store.calls).toEqual(["replace 0 -> 1"]);
    expect(reflector.state.status).toBe("syncing");
    await clock.advance(1_000);
    expect(reflector.state.status).toBe("live");
  });

  it("keeps what it has in an outage of any length, and resumes without a list (D10)", async () => {
    const { clock, etcd } = fixture;
    etcd.put("/web/a", "1");
    const reflector = reflect();
    const seen = statuses(reflector);
    await clock.settle();
    etcd.kill();
    await clock.advance(3_600_000);
    expect(store.content).toEqual({ "/web/a": "1" });
    expect(reflector.state).toMatchObject({ status: "stale", since: 0, error: { code: "SD_UNAVAILABLE" } });
    etcd.restart();
    await clock.advance(6_000);
    expect(reflector.state).toEqual({ status: "live" });
    expect(store.calls).toEqual(["replace 1 -> 2"]);
    expect(seen.filter((status, i) => status !== seen[i - 1])).toEqual(["syncing", "live", "stale", "live"]);
  });

  it("lists again within 1 s after a list that took its 5 s in vain, however often (D15)", async () => {
    const { clock, etcd } = fixture;
    etcd.freeze();
    reflect();
    await clock.advance(300_000);
    const times = etcd.callsOf("range").map(({ at }) => at);
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(gaps.length).toBeGreaterThan(40);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(6_000);
  });

  it.each([1, 40])("tells after 5 s that etcd does not answer, beginning with %i others", async (others) => {
    const { clock, etcd } = fixture;
    etcd.freeze();
    const reflectors = Array.from({ length: others + 1 }, reflect.bind(undefined, {}));
    await clock.advance(5_000);
    expect(reflectors.slice(0, 16).map(({ state }) => state)).not.toContainEqual({
      status: "syncing",
      error: undefined,
    });
  });

  it("keeps what it has when etcd freezes, and says since when it is stale (D10, D16)", async () => {
    const { clock, etcd } = fixture;
    etcd.put("/web/a", "1");
    const reflector = reflect();
    await clock.settle();
    etcd.freeze();
    etcd.put("/web/b", "2");
    await clock.advance(5_500);
    expect(reflector.state).toMatchObject({ status: "stale", since: 5_500 });
    await clock.advance(600_000);
    expect(reflector.state).toMatchObject({ status: "stale", since: 5_500 });
    expect(store.content).toEqual({ "/web/a": "1" });
    etcd.thaw();
    await clock.advance(10_000);
    expect(reflector.state.status).toBe("live");
    expect(store.content).toEqual({ "/web/a": "1", "/web/b": "2" });
  });

  it("waits for an etcd that is not there at the start, and says why (D17)", async () => {
    const { clock, etcd } = fixture;
    etcd.refuse();
    const reflector = reflect();
    await clock.advance(60_000);
    expect(reflector.state).toMatchObject({ status: "syncing", error: { code: "SD_UNAVAILABLE" } });
    expect(store.calls).toEqual([]);
    etcd.accept();
    await clock.advance(5_000);
    expect(reflector.state.status).toBe("live");
    const gaps = etcd.callsOf("range").map(({ at }, i, all) => at - (all[i - 1]?.at ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_000);
  });

  it("lists again after a compaction, with no empty state between, in the same epoch (D7)", async () => {
    const { clock, etcd } = fixture;
    for (const name of ["a", "b"]) etcd.put(`/web/${name}`, "1");
    const reflector = reflect();
    const seen = statuses(reflector);
    await clock.settle();
    etcd.kill();
    etcd.delete("/web/a");
    etcd.put("/web/c", "2");
    etcd.compact(etcd.revision);
    etcd.restart();
    await clock.advance(5_000);
    expect(store.calls).toEqual(["replace 2 -> 3", "replace 2 -> 5"]);
    expect(store.content).toEqual({ "/web/b": "1", "/web/c": "2" });
    expect(store.position).toEqual({ revision: 5, epoch: 1 });
    expect(seen.at(-1)).toBe("live");
    expect(starts().at(-1)).toBe(6);
  });

  it("begins with the watch when the store holds the range already", async () => {
    const { clock, etcd } = fixture;
    const revision = etcd.put("/web/a", "1");
    etcd.put("/web/b", "2");
    const reflector = reflect({ revision });
    await clock.settle();
    expect(etcd.callsOf("range")).toEqual([]);
    expect(store.calls).toEqual(["apply 1 -> 3"]);
    expect(reflector.state.status).toBe("live");
  });

  it("asks for a page that is too large at a quarter of its size (D18)", async () => {
    await reopen({
      wrap: (transport) => {
        const range = transport.range.bind(transport);
        return Object.assign(transport, {
          range: async (...args: Parameters<typeof range>) => {
            if ((args[0].limit ?? 0) > 1_000) throw failure("too-large");
            return range(...args);
          },
        });
      },
    });
    for (let i = 0; i < 1_000; i += 1) fixture.etcd.put(`/web/${i}`, "x");
    const reflector = reflect();
    await fixture.clock.settle();
    expect(store.calls).toEqual(["replace 1000 -> 1001"]);
    expect(reflector.state.status).toBe("live");
  });

  it("asks slowly again when only an operator can help, and says so in its state", async () => {
    await reopen({
      wrap: (transport) => {
        let refusals = 2;
        const range = transport.range.bind(transport);
        return Object.assign(transport, {
          range: async (...args: Parameters<typeof range>) => {
            const answer = await range(...args);
            refusals -= 1;
            if (refusals >= 0) throw failure("permission");
            return answer;
          },
        });
      },
    });
    const reflector = reflect();
    await fixture.clock.advance(59_999);
    expect(reflector.state).toMatchObject({ status: "syncing", error: { code: "SD_PERMISSION" } });
    await fixture.clock.advance(1);
    expect(reflector.state.status).toBe("live");
    expect(fixture.etcd.callsOf("range").map(({ at }) => at)).toEqual([0, 30_000, 60_000]);
  });

  it("never goes back in time, whatever etcd suffers (D2)", async () => {
    const { clock, etcd } = fixture;
    reflect();
    for (let round = 0; round < 60; round += 1) {
      etcd.put(`/web/${round % 5}`, `${round}`);
      if (round % 4 === 1) etcd.cut();
      if (round % 10 === 3) etcd.freeze();
      if (round % 10 === 5) etcd.thaw();
      if (round % 15 === 14) etcd.compact(etcd.revision);
      await clock.advance(700);
    }
    await clock.advance(10_000);
    const revisions = store.positions.map(({ revision }) => revision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    expect(new Set(revisions).size).toBe(revisions.length);
    expect(store.content).toEqual(
      Object.fromEntries([55, 56, 57, 58, 59].map((round) => [`/web/${round % 5}`, `${round}`])),
    );
  });
});
