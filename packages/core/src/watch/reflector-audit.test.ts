import { fixedRandom } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type ClientFixture, type ClientFixtureOptions, openClient } from "../../test/client-fixture.js";
import { heard } from "../../test/heard.js";
import { bytes } from "../../test/observe.js";
import { RecordingStore } from "../../test/recorders.js";
import { failure } from "../../test/scripted-transport.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { LeaseId, RangeRequest, RangeResponse, WatchResponse } from "../etcd/types.js";
import { sleep } from "../kit/signals.js";
import { prefixRange } from "./key-range.js";
import { Reflector, type ReflectorOptions } from "./reflector.js";

let fixture: ClientFixture;
let store: RecordingStore;
let reflector: Reflector;
let repairs: ReturnType<typeof heard<"sd:reflector:repaired">>;
let epochs: ReturnType<typeof heard<"sd:epoch:begun">>;
let statuses: string[];
/** What the watch stream delivers and loses on the way, as etcd never should. */
let losesMessage: (response: WatchResponse) => boolean;
let beforeRange: (request: RangeRequest) => void | Promise<void>;
let wrapRange: (response: RangeResponse, request: RangeRequest) => RangeResponse;

beforeEach(() => {
  repairs = heard("sd:reflector:repaired");
  epochs = heard("sd:epoch:begun");
  losesMessage = () => false;
  beforeRange = () => {};
  wrapRange = (response) => response;
  return async () => {
    repairs[Symbol.dispose]();
    epochs[Symbol.dispose]();
    await fixture.end();
  };
});

const wrap = (transport: EtcdTransport): EtcdTransport => {
  const { watch, range } = transport;
  return Object.assign(transport, {
    watch: ((handlers, options) => {
      const onMessage = (response: WatchResponse): void => {
        if (!losesMessage(response)) handlers.onMessage(response);
      };
      return watch.call(transport, { onMessage, onEnd: (error) => handlers.onEnd(error) }, options);
    }) satisfies EtcdTransport["watch"],
    range: (async (request, options) => {
      await beforeRange(request);
      return wrapRange(await range.call(transport, request, options), request);
    }) satisfies EtcdTransport["range"],
  });
};

/** A reflector of `/web/`, live, with these keys. */
async function reflect(
  keys: readonly string[],
  options: Partial<ReflectorOptions> = {},
  etcdOptions: ClientFixtureOptions = {},
): Promise<void> {
  fixture = openClient({ wrap, ...etcdOptions });
  store = new RecordingStore();
  for (const key of keys) fixture.etcd.put(`/web/${key}`, "1");
  reflector = new Reflector(fixture.client, { range: prefixRange(bytes("/web/")), store, ...options });
  fixture.client.attach(reflector);
  // A list is read in slices, between which the event loop goes round.
  for (let slices = keys.length; slices >= 0; slices -= 500) await fixture.clock.settle();
  expect(reflector.state.status).toBe("live");
  statuses = [];
  reflector.subscribe(({ status }) => statuses.push(status));
  fixture.etcd.clearCalls();
}

const keys = (): string[] => Object.keys(store.content).map((key) => key.slice("/web/".length));
const lists = (): number => store.calls.filter((call) => call.startsWith("replace")).length;
const hasEvents = ({ events }: WatchResponse): boolean => events.length > 0;
/** Longer than any first comparison after a resume takes to begin. */
const SOON_MS = 60_000;

async function whileAway(work: () => unknown): Promise<void> {
  const { etcd, clock } = fixture;
  // Who is cut off does not come back before the time moves.
  etcd.cut();
  await work();
  etcd.kill();
  await clock.advance(3_000);
  etcd.restart();
}

describe("A reflector's audit", () => {
  it("has its time among those of its client, on one timer, until it ends (D9)", async () => {
    await reflect(["a"]);
    const { client, clock } = fixture;
    const { pending } = clock;
    const others = ["/api/", "/db/"].map((prefix) => {
      const range = prefixRange(bytes(prefix));
      return new Reflector(client, { range, store: new RecordingStore() });
    });
    for (const other of others) client.attach(other);
    await clock.settle();
    expect(clock.pending).toBe(pending);
    const checks = heard("sd:reflector:checked");
    await clock.advance(60_000);
    expect(checks.map(({ prefix }) => prefix).sort()).toEqual(["/api/", "/db/", "/web/"]);
    await others[0]?.close();
    checks.length = 0;
    await clock.advance(60_000);
    expect(checks.map(({ prefix }) => prefix).sort()).toEqual(["/db/", "/web/"]);
    checks[Symbol.dispose]();
  });

  it("finds a delete that etcd lost at the compaction, right after the resume (D9, F42)", async () => {
    await reflect(["a", "b"], {}, { version: "3.4.23" });
    const { clock, etcd } = fixture;
    await whileAway(() => etcd.compact(etcd.delete("/web/a")));
    await clock.advance(5_000);
    expect(keys()).toEqual(["b"]);
    expect([...repairs]).toMatchObject([{ prefix: "/web/", finding: "lost-change", repairs: 1 }]);
    expect([statuses.at(-1), store.position?.epoch]).toEqual(["live", 1]);
  });

  it("takes for no loss what is on its way while the present is counted, nor what comes later (D9)", async () => {
    await reflect(["a", "b"]);
    const checks = heard("sd:reflector:checked");
    const { clock, etcd } = fixture;
    beforeRange = ({ countOnly, revision }) => {
      if (!countOnly || revision !== undefined) return;
      // Counted, and not told yet.
      etcd.holdWatchEvents();
      etcd.delete("/web/a");
      clock.setTimer(0, () => etcd.put("/web/c", "1"));
      clock.setTimer(1_900, () => etcd.releaseWatchEvents());
    };
    // Its revision is forgotten, and yet the watch can go on.
    await whileAway(() => etcd.compact(etcd.put("/other", "1")));
    await clock.advance(4_500);
    expect([...checks]).toMatchObject([{ scope: "anchor", outcome: "equal" }]);
    expect([keys(), lists(), repairs.length]).toEqual([["b", "c"], 1, 0]);
    checks[Symbol.dispose]();
  });

  it("looks at the past at once when something comes with a resume, and then holds nothing back (D8, D16)", async () => {
    await reflect(["a", "b"]);
    const checks = heard("sd:reflector:checked");
    const { clock, etcd } = fixture;
    await clock.advance(10_000);
    await whileAway(() => etcd.put("/web/c", "1"));
    etcd.clearCalls();
    while (etcd.callsOf("watch").length === 0) await clock.advance(50);
    await clock.advance(0);
    expect([keys(), reflector.state.status]).toEqual([["a", "b", "c"], "live"]);
    expect([...checks]).toMatchObject([{ scope: "anchor", outcome: "equal" }]);
    etcd.put("/web/d", "1");
    await clock.settle();
    expect(keys()).toEqual(["a", "b", "c", "d"]);
    checks[Symbol.dispose]();
  });

  it("looks again at once when something comes long after a look that failed (D16)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    beforeRange = () => {
      throw failure("network");
    };
    await whileAway(() => {});
    await clock.advance(4_000);
    beforeRange = () => {};
    etcd.put("/web/c", "1");
    await clock.advance(0);
    expect(keys()).toEqual(["a", "b", "c"]);
  });

  it("shows what comes with a resume after 2 s, if it cannot look at the past (D16)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    beforeRange = () => {
      throw failure("network");
    };
    await clock.advance(10_000);
    await whileAway(() => etcd.put("/web/c", "1"));
    etcd.clearCalls();
    while (etcd.callsOf("watch").length === 0) await clock.advance(50);
    await clock.advance(1_900);
    expect([keys(), reflector.state.status]).toEqual([["a", "b"], "stale"]);
    await clock.advance(150);
    expect([keys(), reflector.state.status]).toEqual([["a", "b", "c"], "live"]);
    etcd.put("/web/d", "1");
    await clock.settle();
    expect(keys(), "once").toEqual(["a", "b", "c", "d"]);
  });

  it("finds what was lost by its period, lists once, and stays live (D9)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    losesMessage = hasEvents;
    etcd.delete("/web/a");
    await clock.settle();
    losesMessage = () => false;
    etcd.put("/web/c", "1");
    await clock.advance(59_999);
    expect(keys()).toEqual(["a", "b", "c"]);
    await clock.advance(200);
    expect(keys()).toEqual(["b", "c"]);
    await clock.advance(600_000);
    expect([lists(), repairs.length, epochs.length]).toEqual([2, 1, 0]);
    expect(statuses).toEqual([]);
  });

  it("finds an update that was lost, though the number of keys is right (D9)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    losesMessage = hasEvents;
    etcd.put("/web/a", "2");
    await clock.settle();
    losesMessage = () => false;
    await clock.advance(70_000);
    expect(store.content).toEqual({ "/web/a": "1", "/web/b": "1" });
    // Until something else is seen, the update may be on its way.
    etcd.put("/web/b", "2");
    await clock.advance(70_000);
    expect(store.content).toEqual({ "/web/a": "2", "/web/b": "2" });
  });

  it("finds in a compacted etcd what was lost, by two looks 5 s apart (D9)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    losesMessage = hasEvents;
    etcd.delete("/web/a");
    for (let i = 0; i < 10; i += 1) etcd.put("/other", `${i}`);
    etcd.compact(etcd.revision);
    await clock.settle();
    await clock.advance(64_999);
    expect(keys()).toEqual(["a", "b"]);
    await clock.advance(200);
    expect(keys()).toEqual(["b"]);
    expect(repairs).toHaveLength(1);
  });

  it("lists nothing where nothing was lost, compacted or not, and asks at most 5 times a minute (D9)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    for (let minute = 0; minute < 60; minute += 1) {
      etcd.put("/other", `${minute}`);
      if (minute % 7 === 6) etcd.compact(etcd.revision);
      await clock.advance(60_000);
    }
    expect(lists()).toBe(1);
    const reads = etcd.callsOf("range").length;
    expect(reads).toBeGreaterThan(40);
    expect(reads).toBeLessThanOrEqual(5 * 60);
  });

  it("takes a change that comes during a comparison of many pages for none (D9)", async () => {
    const many = Array.from({ length: 12_000 }, (_, index) => `k${index}`);
    await reflect(many, { checkEveryMs: 1_000 });
    const { clock, etcd } = fixture;
    let pages = 0;
    beforeRange = ({ keysOnly, limit = 0 }) => {
      if (!keysOnly || limit < 1_000) return;
      pages += 1;
      // Behind, at and before where the comparison stands.
      etcd.put("/web/k0", `${pages}`);
      etcd.put(`/web/k9999${pages}`, "new");
      etcd.delete(`/web/k${5_000 + pages}`);
    };
    await clock.advance(120_000);
    expect(pages).toBeGreaterThan(20);
    expect([lists(), repairs.length]).toEqual([1, 0]);
  });

  it("takes an answer that has more keys and shows none for a failure, not for a loss (D9)", async () => {
    const checks = heard("sd:reflector:checked");
    let isEmpty = true;
    wrapRange = (answer, { keysOnly }) => (isEmpty && keysOnly ? { ...answer, kvs: [], more: true } : answer);
    await reflect(["a", "b"]);
    const { clock } = fixture;
    await clock.advance(70_000);
    isEmpty = false;
    await clock.advance(SOON_MS);
    expect(checks.map(({ outcome }) => outcome)).toEqual(["failed", "equal"]);
    expect([lists(), repairs.length, statuses]).toEqual([1, 0, []]);
    checks[Symbol.dispose]();
  });

  it("compares again within a minute after a comparison that failed (D9)", async () => {
    const checks = heard("sd:reflector:checked");
    await reflect(["a"], { checkEveryMs: 3_600_000 });
    const { clock } = fixture;
    let refusals = 2;
    beforeRange = () => {
      refusals -= 1;
      if (refusals >= 0) throw failure("network");
    };
    await clock.advance(3_600_000 + 2 * SOON_MS);
    expect(checks.map(({ outcome }) => outcome)).toEqual(["failed", "failed", "equal"]);
    expect([lists(), statuses]).toEqual([1, []]);
    checks[Symbol.dispose]();
  });

  it("goes on with its period after a look at the past that came in the middle of a comparison (D9)", async () => {
    const checks = heard("sd:reflector:checked");
    // The look at the past comes 1.8 s after the resume, the comparison because of the replay after 1 s.
    await reflect(["a", "b"], {}, { behaviour: { replaysHistory: true }, random: fixedRandom(0.9) });
    const { clock } = fixture;
    beforeRange = ({ limit = 0 }) => (limit > 1 ? sleep(clock, 1_500) : undefined);
    await whileAway(() => {});
    await clock.advance(400_000);
    expect(checks[0]).toMatchObject({ scope: "anchor", outcome: "equal" });
    expect(checks.filter(({ scope }) => scope === "all").length).toBeGreaterThanOrEqual(3);
    checks[Symbol.dispose]();
  });

  it("reads smaller pages on a slow link (D18)", async () => {
    const checks = heard("sd:reflector:checked");
    await reflect(Array.from({ length: 700 }, (_, index) => `k${index}`));
    const { clock, etcd } = fixture;
    beforeRange = ({ limit = 0 }) => {
      if (limit > 400) throw failure("timeout");
    };
    await clock.advance(80_000);
    expect(etcd.callsOf("range").map(({ request }) => request.limit)).toEqual([312, 312, 312]);
    expect([...checks]).toMatchObject([{ scope: "all", outcome: "equal" }]);
    checks[Symbol.dispose]();
  });
});

describe("A reflector's audit of an etcd that was wiped and has grown beyond", () => {
  it.each([
    ["nothing has come back", [], false],
    ["as many keys have come back", ["x", "y"], false],
    ["the same keys have come back", ["a", "b"], true],
    ["the same keys have come back at the same revisions", ["a", "b"], false],
  ])("begins a new epoch though %s (D8, F7)", async (_case, returning, shift) => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    await whileAway(async () => {
      etcd.wipe();
      await etcd.transport().grant({ id: 7n as LeaseId, ttlSeconds: 3_600 });
      if (shift) etcd.put("/junk", "x");
      for (const key of returning) etcd.put(`/web/${key}`, "new", { lease: 7n });
      for (let i = 0; i < 20; i += 1) etcd.put("/junk", `${i}`);
    });
    await clock.advance(3_000);
    expect(keys()).toEqual(returning);
    expect(store.position?.epoch).toBe(2);
    expect([...epochs]).toMatchObject([{ prefix: "/web/", epoch: 2, reason: "another-past" }]);
    etcd.put("/web/z", "1");
    await clock.advance(SOON_MS);
    expect(keys()).toEqual([...returning, "z"].sort());
    expect([store.position?.epoch, statuses.at(-1)]).toEqual([2, "live"]);
  });

  it("shows nothing of the other history before, though it comes with the resume (D8, F7)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    await whileAway(() => {
      etcd.wipe();
      for (let i = 0; i < 20; i += 1) etcd.put("/junk", `${i}`);
      etcd.put("/web/z", "1");
    });
    const before = store.calls.length;
    await clock.advance(3_000);
    expect([keys(), store.position?.epoch]).toEqual([["z"], 2]);
    expect(store.calls.slice(before)).toEqual(["replace 1 -> 22"]);
  });

  it.each([
    ["by the comparison", false],
    ["by the list, where the watch is compacted", true],
  ])(
    "tells a key of the same revision from the one it held by its lease, %s (D8)",
    async (_how, isCompacted) => {
      const grant = (id: bigint) => fixture.etcd.transport().grant({ id: id as LeaseId, ttlSeconds: 3_600 });
      await reflect([], { range: { key: bytes("/web/a") } });
      const { clock, etcd } = fixture;
      await grant(7n);
      const revision = etcd.put("/web/a", "ours", { lease: 7n });
      await clock.settle();
      await whileAway(async () => {
        etcd.wipe();
        await grant(8n);
        expect(etcd.put("/web/a", "rival", { lease: 8n })).toBe(revision);
        for (let i = 0; i < 20; i += 1) etcd.put("/junk", `${i}`);
        if (isCompacted) etcd.compact(etcd.revision);
      });
      await clock.advance(SOON_MS);
      expect([store.content, store.position?.epoch]).toEqual([{ "/web/a": "rival" }, 2]);
    },
  );

  it("begins a new epoch by the list alone, where the watch is compacted (D8)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    await whileAway(() => {
      etcd.wipe();
      etcd.put("/web/b", "new");
      for (let i = 0; i < 20; i += 1) etcd.put("/junk", `${i}`);
      etcd.compact(etcd.revision);
    });
    await clock.advance(3_000);
    expect([store.content, store.position?.epoch]).toEqual([{ "/web/b": "new" }, 2]);
  });

  it("shows nothing of what is held back when etcd is wiped once more before the first look at the past (D8)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    await whileAway(() => {
      for (const key of ["c", "d", "e"]) etcd.put(`/web/${key}`, "1");
    });
    const revision = store.position?.revision ?? 0;
    let mayLook = false;
    beforeRange = async ({ countOnly, revision }) => {
      if (!mayLook && (countOnly || revision !== undefined)) await sleep(clock, 60_000);
    };
    etcd.clearCalls();
    while (etcd.callsOf("watch").length === 0) await clock.advance(50);
    await clock.advance(100);
    expect(keys(), "held back").toEqual(["a", "b"]);
    const before = store.calls.length;
    etcd.cut();
    etcd.wipe();
    for (const key of ["b", "x", "y"]) etcd.put(`/web/${key}`, "2");
    expect([etcd.revision > revision, etcd.revision < revision + 3]).toEqual([true, true]);
    await clock.advance(6_000);
    mayLook = true;
    await clock.advance(SOON_MS);
    expect(store.calls.slice(before).filter((call) => call.startsWith("apply"))).toEqual([]);
    expect([store.content, store.position?.epoch]).toEqual([
      { "/web/b": "2", "/web/x": "2", "/web/y": "2" },
      2,
    ]);
  });

  it("says only what can be said when the past is compacted (D9)", async () => {
    await reflect(["a", "b"]);
    const { clock, etcd } = fixture;
    await whileAway(() => {
      etcd.wipe();
      etcd.put("/web/a", "new");
      while (etcd.revision < 4) etcd.put("/junk", "x");
      etcd.compact(4);
    });
    await clock.advance(5_000);
    expect(keys()).toEqual(["a"]);
  });

  it("is not misled by stale reads, if they end within 3 s (D8)", async () => {
    await reflect(["a", "b"], { checkEveryMs: 2_000 });
    const { clock, etcd } = fixture;
    etcd.behave({ servesStaleReads: true });
    etcd.put("/web/c", "1");
    while (etcd.callsOf("range").length === 0) await clock.advance(100);
    await clock.advance(1_000);
    expect(reflector.state.status).toBe("stale");
    etcd.behave({ servesStaleReads: false });
    await clock.advance(10_000);
    expect([keys(), store.position?.epoch]).toEqual([["a", "b", "c"], 1]);
    expect(reflector.state.status).toBe("live");
  });

  it("does not list over and over because a server replays its history, and shows nothing twice (D12)", async () => {
    const violations = heard("sd:watch:violated");
    await reflect(["a", "b"], {}, { behaviour: { replaysHistory: true } });
    const { clock, etcd } = fixture;
    for (let round = 0; round < 5; round += 1) {
      etcd.cut();
      await clock.advance(5_000);
    }
    etcd.put("/web/c", "1");
    await clock.advance(5_000);
    expect(keys()).toEqual(["a", "b", "c"]);
    expect([lists(), repairs.length]).toEqual([1, 0]);
    expect(violations.length).toBeGreaterThan(0);
    expect(new Set(violations.map(({ violation }) => violation))).toEqual(new Set(["stale"]));
    const reads = etcd.callsOf("range");
    expect(
      reads.some(({ request }) => request.keysOnly && request.limit),
      "checked soon",
    ).toBe(true);
    violations[Symbol.dispose]();
  });
});
