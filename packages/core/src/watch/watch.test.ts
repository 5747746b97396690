import { fixedRandom, ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { bytes } from "../../test/observe.js";
import { RecordingSink } from "../../test/recorders.js";
import { event, failure, message, ScriptedTransport } from "../../test/scripted-transport.js";
import type { WatchResponse } from "../etcd/types.js";
import { prefixRange } from "./key-range.js";
import { Watch } from "./watch.js";
import { WatchHub } from "./watch-hub.js";

let clock: ManualClock;
let transport: ScriptedTransport;
let sink: RecordingSink;
let watch: Watch;

/** A watch that knows everything up to revision 10, on a stream that the test plays. */
beforeEach(async () => {
  clock = new ManualClock();
  transport = new ScriptedTransport();
  sink = new RecordingSink();
  const hub = new WatchHub(transport, clock, fixedRandom(0));
  watch = new Watch(hub, prefixRange(bytes("/")), 10, sink);
  await clock.settle();
  return async () => {
    await hub.close();
    expect(clock.pending).toBe(0);
  };
});

const say = (revision: number, part?: Partial<WatchResponse>): void =>
  transport.watchStream.say(message(watch.id, revision, part));

/** Breaks the stream; tells from which revision the next one is asked to deliver. */
async function resumedFrom(): Promise<number | undefined> {
  transport.watchStream.fail(failure("network"));
  await clock.settle();
  const [request] = transport.watchStream.sent;
  return request?.type === "create" ? request.startRevision : undefined;
}

describe("Watch", () => {
  it.each([Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER])(
    "refuses to begin after the revision %s",
    (revision) => {
      const hub = { add: () => expect.unreachable(), delete: () => expect.unreachable(), violated: () => {} };
      expect(() => new Watch(hub, prefixRange(bytes("/")), revision, sink)).toThrow(
        expect.objectContaining({ code: "SD_INVALID_ARGUMENT" }),
      );
    },
  );

  it("begins after the revision that is known (D5)", () => {
    expect(transport.watchStream.sent).toEqual([
      { type: "create", watchId: 0, ...prefixRange(bytes("/")), startRevision: 11 },
    ]);
  });

  it("does not believe events of keys that it does not watch", () => {
    say(10, { created: true });
    const other = new Watch(
      { add: () => {}, delete: () => {}, violated: () => {} },
      prefixRange(bytes("/web/")),
      10,
      sink,
    );
    other.receive(message(9, 11, { events: [event("/web-admin/a", 11, "x")] }));
    expect(sink.log.at(-1)).toBe("gap corrupt");
    expect(other.revision).toBe(10);
  });

  it("does not resume from the header of `created` (D6)", async () => {
    say(6_000, { created: true });
    expect(watch.revision).toBe(10);
    expect(await resumedFrom()).toBe(11);
  });

  it("resumes after the last event, not from the header of its message (D6)", async () => {
    say(6_000, { created: true });
    say(6_000, { events: [event("/a", 11, "x"), event("/b", 12, "x")] });
    expect(sink.log).toEqual(["created", "put /a@11, put /b@12 -> 12"]);
    expect(await resumedFrom()).toBe(13);
  });

  it("moves its resume point by progress for its own id (D6)", async () => {
    say(10, { created: true });
    say(50);
    expect(sink.log).toEqual(["created", "progress 50"]);
    expect(await resumedFrom()).toBe(51);
  });

  it("does not move by progress for the whole stream, nor by one of revision 0 (D6)", async () => {
    say(10, { created: true });
    transport.watchStream.say(message(-1, 50));
    say(0);
    say(10);
    expect(sink.log).toEqual(["created"]);
    expect(await resumedFrom()).toBe(11);
  });

  it("drops what was delivered before, and delivers nothing twice (D2, D3)", () => {
    say(10, { created: true });
    say(12, { events: [event("/old", 9, "x"), event("/old", 10, "x")] });
    say(12, { events: [event("/a", 10, "x"), event("/a", 11, "x"), event("/b", 12)] });
    say(12, { events: [event("/a", 11, "x"), event("/b", 12)] });
    say(13, { events: [event("/b", 12), event("/c", 13, "x")] });
    const stale = "stale";
    expect(sink.log).toEqual([
      ...["created", stale, stale, "put /a@11, delete /b@12 -> 12"],
      ...[stale, stale, "put /c@13 -> 13"],
    ]);
  });

  it("joins the fragments of a revision, and shows nothing before the last (D4)", async () => {
    say(10, { created: true });
    say(11, { fragment: true, events: [event("/a", 11, "x"), event("/b", 11, "x")] });
    say(11, { fragment: true, events: [event("/c", 11, "x")] });
    expect(sink.log).toEqual(["created"]);
    expect(watch.revision).toBe(10);
    say(11, { events: [event("/d", 11, "x")] });
    expect(sink.log).toEqual(["created", "put /a@11, put /b@11, put /c@11, put /d@11 -> 11"]);
    say(12, { events: [event("/e", 12, "x")] });
    expect(sink.log.at(-1)).toBe("put /e@12 -> 12");
  });

  it("throws unfinished fragments away with their stream, and gets them again (D4)", async () => {
    say(10, { created: true });
    say(11, { fragment: true, events: [event("/a", 11, "x")] });
    expect(await resumedFrom()).toBe(11);
    say(11, { created: true });
    say(11, { events: [event("/a", 11, "x"), event("/b", 11, "x")] });
    expect(sink.log.at(-1)).toBe("put /a@11, put /b@11 -> 11");
  });

  it("ends with a gap when revisions run backwards (D12)", async () => {
    say(20, { created: true });
    say(20, { events: [event("/a", 12, "x"), event("/b", 11, "x")] });
    say(20, { events: [event("/c", 20, "x")] });
    expect(sink.log).toEqual(["created", "gap corrupt"]);
  });

  it("tells that its member is behind, after `created` and by progress", () => {
    say(9, { created: true });
    say(8);
    say(10, { created: true });
    expect(sink.log).toEqual(["behind 9", "behind 8", "created"]);
    expect(watch.revision).toBe(10);
  });

  it("delivers nothing more once it is disposed, not even what is under way", async () => {
    say(10, { created: true });
    const { watchStream } = transport;
    watch[Symbol.dispose]();
    say(11, { events: [event("/a", 11, "x")] });
    await clock.settle();
    expect(sink.log).toEqual(["created"]);
    expect(watchStream.canceled).toEqual({ suspect: false });
    watch[Symbol.dispose]();
  });
});
