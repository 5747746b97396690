import { fixedRandom, ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { heard } from "../../test/heard.js";
import { bytes } from "../../test/observe.js";
import { RecordingSink, RecordingStore } from "../../test/recorders.js";
import { event, header, message, ScriptedTransport } from "../../test/scripted-transport.js";
import type { RangeResponse, WatchResponse } from "../etcd/types.js";
import { prefixRange } from "./key-range.js";
import { Reflector } from "./reflector.js";
import { Watch } from "./watch.js";
import { WatchHub } from "./watch-hub.js";

const range = prefixRange(bytes("/web/"));
const a = (revision: number, value?: string) => event("/web/a", revision, value);
const b = (revision: number, value?: string) => event("/web/b", revision, value);

let clock: ManualClock;
let transport: ScriptedTransport;
let hub: WatchHub;
let violations: ReturnType<typeof heard<"sd:watch:violated">>;

beforeEach(() => {
  clock = new ManualClock();
  transport = new ScriptedTransport();
  hub = new WatchHub(transport, clock, fixedRandom(0.5));
  violations = heard("sd:watch:violated");
  return async () => {
    violations[Symbol.dispose]();
    await hub.close();
    expect(clock.pending).toBe(0);
  };
});

const say = (id: number, revision: number, part?: Partial<WatchResponse>): void =>
  transport.watchStream.say(message(id, revision, part));
const counted = (): string[] => violations.map(({ violation }) => violation);

describe("A watch whose stream breaks its rules (D12)", () => {
  let sink: RecordingSink;
  beforeEach(async () => {
    sink = new RecordingSink();
    new Watch(hub, range, 10, sink);
    await clock.settle();
    say(0, 10, { created: true });
    sink.log.length = 0;
  });

  it.each<[string, readonly Partial<WatchResponse>[]]>([
    ["out-of-order", [{ events: [a(12, "x"), b(11, "x")] }]],
    ["duplicate", [{ events: [a(11, "x"), a(11, "x")] }]],
    ["duplicate", [{ events: [b(11, "x"), a(12, "x"), a(12)] }]],
    ["foreign-key", [{ events: [a(11, "x"), event("/web-admin/a", 12, "x")] }]],
    ["broken-fragments", [{ fragment: true, events: [a(11, "x")] }, {}]],
    ["broken-fragments", [{ fragment: true, events: [a(11, "x")] }, { fragment: true }]],
    ["broken-fragments", [{ fragment: true, events: [a(11, "x")] }, { created: true }]],
    [
      "broken-fragments",
      [
        { fragment: true, events: [a(11, "x")] },
        { header: header(21), events: [a(21, "x")] },
      ],
    ],
  ])("is counted as %s, delivers nothing of it and ends with a gap", (violation, parts) => {
    for (const part of parts) say(0, 20, part);
    say(0, 30, { events: [a(30, "x")] });
    expect(sink.log).toEqual(["gap corrupt"]);
    expect(counted()).toEqual([violation]);
  });

  it("drops what was delivered before, counts it, and goes on", () => {
    say(0, 12, { events: [a(11, "x"), b(12, "x")] });
    say(0, 12, { events: [a(11, "x")] });
    say(0, 13, { events: [b(12, "x"), a(13)] });
    expect(sink.log).toEqual([
      "put /web/a@11, put /web/b@12 -> 12",
      "stale",
      "stale",
      "delete /web/a@13 -> 13",
    ]);
    expect(counted()).toEqual(["stale", "stale"]);
  });

  it("ends with all others of its stream when a message is for none of them", async () => {
    const other = new RecordingSink();
    new Watch(hub, prefixRange(bytes("/api/")), 10, other);
    say(1, 10, { created: true });
    const stream = transport.watchStream;
    say(8, 11, { events: [a(11, "x")] });
    expect([sink.log, other.log.slice(1)]).toEqual([["gap corrupt"], ["gap corrupt"]]);
    expect(stream.isOver).toBe(true);
    expect(counted()).toEqual(["unknown-watch"]);
  });

  it("is not confused by what is under way to a watch that was left", () => {
    const other = new Watch(hub, prefixRange(bytes("/api/")), 10, new RecordingSink());
    other[Symbol.dispose]();
    say(1, 10, { created: true });
    say(1, 11, { events: [event("/api/a", 11, "x")] });
    say(1, 11, { canceled: true });
    say(1, 11, { canceled: true, compactRevision: 11 });
    say(-1, 11);
    say(0, 12, { events: [a(12, "x")] });
    expect(sink.log).toEqual(["put /web/a@12 -> 12"]);
    expect(counted()).toEqual([]);
    expect(transport.watchStream.isOver).toBe(false);
  });
});

describe("A reflector whose events contradict what it holds (D12)", () => {
  let store: RecordingStore;
  let reflector: Reflector;
  let reads: number;
  /** What the next list shows. */
  let listed: Pick<RangeResponse, "header" | "kvs">;

  beforeEach(async () => {
    store = new RecordingStore();
    reads = 0;
    listed = { header: header(10), kvs: [a(9, "x").kv] };
    transport.range = async () => {
      reads += 1;
      return { ...listed, more: false, count: listed.kvs.length };
    };
    reflector = new Reflector({ transport, watches: hub, clock, random: fixedRandom(0.5) }, { range, store });
    await clock.settle();
    say(0, 10, { created: true });
    expect([store.content, reflector.state.status]).toEqual([{ "/web/a": "x" }, "live"]);
    return () => reflector.close();
  });

  it.each([
    ["deletes what is not held", [b(11)]],
    ["deletes twice", [a(11), a(12)]],
  ])("lists again when etcd %s", async (_case, events) => {
    listed = { header: header(13), kvs: [b(13, "y").kv] };
    say(0, 12, { events });
    expect(reflector.state).toMatchObject({ status: "stale", error: { code: "SD_INVARIANT" } });
    expect(counted()).toEqual(["contradiction"]);
    await clock.advance(100);
    expect(store.calls.at(-1)).toBe("replace 1 -> 13");
    expect(reads).toBe(2);
    say(0, 13, { created: true });
    expect([store.content, reflector.state.status, store.position?.epoch]).toEqual([
      { "/web/b": "y" },
      "live",
      1,
    ]);
  });

  it("takes nothing more of that watch, not even of the same turn (D1)", () => {
    say(0, 11, { events: [b(11)] });
    say(0, 12, { events: [a(12, "y")] });
    expect(store.content).toEqual({ "/web/a": "x" });
  });

  it("follows a key that comes and goes within one message", () => {
    say(0, 14, { events: [b(11, "x"), b(12), b(13, "y"), b(14)] });
    expect(counted()).toEqual([]);
    expect([store.content, reflector.state.status]).toEqual([{ "/web/a": "x" }, "live"]);
  });

  it("looks again at progress below its revision, and lists only if a read confirms it", async () => {
    say(0, 5);
    await clock.settle();
    expect([reads, reflector.state.status]).toEqual([2, "live"]);
    listed = { header: header(5), kvs: [] };
    say(0, 5);
    await clock.settle();
    expect(reflector.state.status).toBe("stale");
    await clock.advance(5_000);
    expect([store.content, store.position]).toEqual([{}, { revision: 5, epoch: 2 }]);
    expect(counted()).toEqual(["backward-progress", "backward-progress"]);
  });

  it("takes a header that names no cluster for no other cluster (F38)", async () => {
    transport.watchStream.fail(new Error("cut"));
    await clock.advance(1_000);
    say(0, 11, { header: { ...header(11), clusterId: 0n }, created: true });
    expect(reflector.state.status).toBe("live");
    transport.watchStream.fail(new Error("cut"));
    await clock.advance(1_000);
    say(0, 11, { created: true });
    expect([reflector.state.status, store.position?.epoch]).toEqual(["live", 1]);
  });

  it("sees at once by the header of `created` that another cluster answers (D8)", async () => {
    listed = { header: { ...header(50), clusterId: 2n }, kvs: [a(9, "other").kv] };
    transport.watchStream.fail(new Error("cut"));
    await clock.advance(1_000);
    say(0, 50, { header: { ...header(50), clusterId: 2n }, created: true });
    expect(reflector.state.status).toBe("stale");
    await clock.advance(100);
    expect([store.content, store.position]).toEqual([{ "/web/a": "other" }, { revision: 50, epoch: 2 }]);
  });
});

describe("A reflector in trouble", () => {
  /** The pauses between a gap and the next list, with the longest that chance gives, after such times of health. */
  async function pausesAfter(healthMs: readonly number[]): Promise<number[]> {
    const listedAt: number[] = [];
    let watchId = 0;
    transport.range = async () => {
      listedAt.push(clock.now());
      return { header: header(10), kvs: [], more: false, count: 0 };
    };
    // Answers creations, and refuses the hub's questions.
    transport.encode = (request) => {
      if (!("type" in request) || request.type !== "create") return;
      const isQuestion = `${request.rangeEnd}` === `${request.key}`;
      if (!isQuestion) ({ watchId } = request);
      const [id, canceled] = isQuestion ? [-1, true] : [request.watchId, false];
      queueMicrotask(() => say(id, 10, { created: true, canceled }));
    };
    const random = fixedRandom(0.999);
    const store = new RecordingStore();
    const ports = { transport, watches: hub, clock, random };
    const reflector = new Reflector(ports, { range, store, checkEveryMs: 3_600_000 });
    const pauses: number[] = [];
    for (const ms of healthMs) {
      await clock.settle();
      await clock.advance(ms);
      const gapAt = clock.now();
      const lists = listedAt.length;
      say(watchId, 0, { canceled: true, compactRevision: 20 });
      while (listedAt.length === lists) await clock.advance(50);
      pauses.push(Math.round((listedAt[lists] ?? 0) - gapAt));
    }
    await reflector.close();
    return pauses;
  }

  it("pauses longer each time, up to 5 s", async () => {
    expect(await pausesAfter([1, 1, 1, 1, 1, 1, 1, 1])).toEqual([
      ...[100, 200, 400, 799, 1_598, 3_197, 4_995, 4_995],
    ]);
  });

  it("takes trouble after 30 s of health for new trouble", async () => {
    expect(await pausesAfter([1, 1, 1, 29_900, 30_001, 1])).toEqual([100, 200, 400, 799, 100, 200]);
  });
});
