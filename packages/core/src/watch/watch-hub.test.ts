import { fixedRandom, ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { bytes } from "../../test/observe.js";
import { RecordingSink } from "../../test/recorders.js";
import { event, failure, header, message, ScriptedTransport } from "../../test/scripted-transport.js";
import { prefixRange } from "./key-range.js";
import { Watch } from "./watch.js";
import { WatchHub } from "./watch-hub.js";

let clock: ManualClock;
let transport: ScriptedTransport;
let hub: WatchHub;

beforeEach(() => {
  clock = new ManualClock();
  transport = new ScriptedTransport();
  hub = new WatchHub(transport, clock, fixedRandom(0.5));
  return async () => {
    await hub.close();
    expect(clock.pending).toBe(0);
    expect(transport.watchStreams.every(({ isOver }) => isOver)).toBe(true);
  };
});

function watchFrom(prefix: string, revision = 10): { readonly watch: Watch; readonly sink: RecordingSink } {
  const sink = new RecordingSink();
  return { watch: new Watch(hub, prefixRange(bytes(prefix)), revision, sink), sink };
}

const created = { created: true };
const refused = (cancelReason: string) => ({ created: true, canceled: true, cancelReason });
/** As etcd answers the question for a sign of life. */
const sign = refused("mvcc: watcher range is empty");
const sent = () =>
  transport.watchStream.sent.map((request) => {
    if (request.type === "progress") return "progress";
    if (request.type === "create" && `${request.rangeEnd}` === `${request.key}`) return "ask";
    return `${request.type} ${request.watchId}`;
  });

describe("WatchHub", () => {
  it("carries several watches on one stream, each with its own events", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/")];
    await clock.settle();
    const c = watchFrom("/c/");
    expect(transport.watchStreams).toHaveLength(1);
    expect(sent()).toEqual(["create 0", "create 1", "create 2"]);
    for (const id of [0, 1, 2]) transport.watchStream.say(message(id, 10, created));
    transport.watchStream.say(message(1, 11, { events: [event("/b/1", 11, "x")] }));
    expect([a, b, c].map(({ sink }) => sink.log)).toEqual([
      ["created"],
      ["created", "put /b/1@11 -> 11"],
      ["created"],
    ]);
  });

  it("cancels one watch and leaves the others", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/")];
    await clock.settle();
    for (const id of [0, 1]) transport.watchStream.say(message(id, 10, created));
    a.watch[Symbol.dispose]();
    expect(sent()).toEqual(["create 0", "create 1", "cancel 0"]);
    transport.watchStream.say(message(0, 11, { events: [event("/a/1", 11, "x")] }));
    transport.watchStream.say(message(0, 11, { canceled: true }));
    transport.watchStream.say(message(1, 12, { events: [event("/b/1", 12, "x")] }));
    expect(a.sink.log).toEqual(["created"]);
    expect(b.sink.log).toEqual(["created", "put /b/1@12 -> 12"]);
    expect(transport.watchStream.canceled).toBe(undefined);
  });

  it("creates every watch anew on the next stream, from its own resume point (D6)", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/", 20)];
    await clock.settle();
    for (const id of [0, 1]) transport.watchStream.say(message(id, 100, created));
    transport.watchStream.say(message(0, 100, { events: [event("/a/1", 30, "x")] }));
    transport.watchStream.fail(failure("network"));
    await clock.advance(500);
    expect(transport.watchStreams).toHaveLength(2);
    expect(transport.watchStream.sent).toMatchObject([{ startRevision: 31 }, { startRevision: 21 }]);
    expect(b.sink.log).toEqual(["created", "interrupted SD_UNAVAILABLE"]);
    expect(a.sink.log.at(-1)).toBe("interrupted SD_UNAVAILABLE");
  });

  it("waits longer after each stream on which nothing was heard, though it opened", async () => {
    const opened: number[] = [];
    transport.opening = async () => {
      opened.push(clock.now());
      clock.setTimer(10, () => transport.watchStream.fail(failure("network")));
      await new Promise<void>((resolve) => void clock.setTimer(5, resolve));
    };
    watchFrom("/a/");
    await clock.advance(6_000);
    // Connecting is no success: 10 ms of a stream, then 500, 1000, 1500, 1500 ms, half of 3 s.
    expect(opened.map((at, i) => at - (opened[i - 1] ?? 0))).toEqual([0, 510, 1_010, 1_510, 1_510]);
  });

  it("begins again with a short wait after a stream that was heard", async () => {
    watchFrom("/a/");
    for (let streams = 1; streams <= 5; streams += 1) {
      await clock.advance(260);
      expect(transport.watchStreams).toHaveLength(streams);
      transport.watchStream.say(message(0, 10, created));
      transport.watchStream.fail(failure("network"));
    }
  });

  it("asks a quiet stream for a sign of life after 2.5 s, and leaves it 3 s later (T3)", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    transport.watchStream.say(message(0, 10, created));
    const silent = transport.watchStream;
    await clock.advance(2_499);
    expect(sent()).toEqual(["create 0"]);
    await clock.advance(1);
    expect(sent()).toEqual(["create 0", "ask"]);
    await clock.advance(2_999);
    expect(silent.canceled).toBe(undefined);
    await clock.advance(1);
    expect(silent.canceled).toEqual({ suspect: true });
    expect(sink.log).toEqual(["created", "interrupted SD_UNAVAILABLE"]);
    await clock.advance(500);
    expect(transport.watchStreams).toHaveLength(2);
  });

  it("asks 500 ms after a creation that shows more than is known, and has then caught up (D16)", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/")];
    await clock.settle();
    transport.watchStream.say(message(0, 10, created));
    transport.watchStream.say(message(1, 20, created));
    expect([a.sink.caughtUp, b.sink.caughtUp]).toEqual([1, 0]);
    await clock.advance(499);
    // However busy the stream is with others, and b with less than it has missed.
    transport.watchStream.say(message(0, 21, { events: [event("/a/1", 21, "x")] }));
    transport.watchStream.say(message(1, 21, { events: [event("/b/1", 12, "x")] }));
    expect(sent()).toEqual(["create 0", "create 1"]);
    await clock.advance(1);
    expect(sent().slice(2)).toEqual(["create 2", "cancel 2"]);
    expect(b.sink.caughtUp).toBe(0);
    transport.watchStream.say(message(2, 21, created));
    expect([a.sink.caughtUp, b.sink.caughtUp]).toEqual([1, 1]);
  });

  describe("that has missed more than etcd sends at once", () => {
    /** Of so many revisions from the first on, as etcd sends what was missed. */
    const piece = (first: number, revisions: number) =>
      message(0, 5_000, {
        events: Array.from({ length: revisions }, (_, index) => event("/a/1", first + index, "x")),
      });

    it("has not caught up between two pieces, whatever answers then (D16)", async () => {
      const { sink } = watchFrom("/a/", 10);
      await clock.settle();
      transport.watchStream.say(message(0, 5_000, created));
      await clock.advance(500);
      expect(sent().slice(1)).toEqual(["create 1", "cancel 1"]);
      transport.watchStream.say(piece(11, 1_000));
      transport.watchStream.say(message(1, 5_000, created));
      expect(sink.caughtUp).toBe(0);
      await clock.advance(100);
      transport.watchStream.say(piece(1_011, 999));
      await clock.advance(400);
      expect(sent().slice(3)).toEqual(["create 2", "cancel 2"]);
      expect(sink.caughtUp).toBe(0);
      transport.watchStream.say(message(2, 5_000, created));
      expect(sink.caughtUp).toBe(1);
    });

    it("has not caught up behind a proxy by the answer to a question of before (D16, F38)", async () => {
      const { sink } = watchFrom("/a/", 10);
      const answers: (() => void)[] = [];
      transport.range = () =>
        new Promise((resolve) =>
          answers.push(() => resolve({ header: header(5_000), kvs: [], more: false, count: 0 })),
        );
      await clock.settle();
      transport.watchStream.say(
        message(0, 5_000, { ...created, header: { ...header(5_000), clusterId: 0n } }),
      );
      await clock.advance(500);
      transport.watchStream.say(piece(11, 1_000));
      await clock.advance(500);
      expect(answers).toHaveLength(2);
      // The proxy refuses by itself.
      transport.watchStream.say(message(-1, 0, { ...sign, header: { ...header(0), clusterId: 0n } }));
      answers[0]?.();
      await clock.settle();
      expect(sink.caughtUp).toBe(0);
      answers[1]?.();
      await clock.settle();
      expect(sink.caughtUp).toBe(1);
    });

    it("counts revisions, not events", async () => {
      const { sink } = watchFrom("/a/", 10);
      await clock.settle();
      transport.watchStream.say(message(0, 5_000, created));
      await clock.advance(500);
      const many = Array.from({ length: 1_500 }, (_, index) => event(`/a/${index}`, 11 + (index >> 1), "x"));
      transport.watchStream.say(message(0, 5_000, { events: many }));
      transport.watchStream.say(message(1, 5_000, created));
      expect(sink.caughtUp).toBe(1);
    });

    it("has caught up in the end where the last piece is a full one (D16)", async () => {
      const { sink } = watchFrom("/a/", 10);
      await clock.settle();
      transport.watchStream.say(message(0, 5_000, created));
      await clock.advance(100);
      transport.watchStream.say(piece(11, 1_000));
      await clock.advance(1_000);
      expect(sent().slice(1)).toEqual(["create 1", "cancel 1"]);
      transport.watchStream.say(message(1, 5_000, created));
      expect(sink.caughtUp).toBe(1);
    });
  });

  it("asks nothing where the events reach what the creation showed (D16)", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    transport.watchStream.say(message(0, 20, created));
    transport.watchStream.say(message(0, 20, { events: [event("/a/1", 20, "x")] }));
    expect(sink.caughtUp).toBe(1);
    await clock.advance(1_000);
    expect(sent()).toEqual(["create 0"]);
  });

  it("has not caught up with a stream that falls silent after the creation (D16)", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    transport.watchStream.say(message(0, 20, created));
    await clock.advance(3_500);
    expect(sink.log).toEqual(["created", "interrupted SD_UNAVAILABLE"]);
    await clock.advance(500);
    transport.watchStream.say(message(0, 20, created));
    await clock.advance(499);
    expect(sink.caughtUp).toBe(0);
    await clock.advance(1);
    transport.watchStream.say(message(1, 20, created));
    expect(sink.caughtUp).toBe(1);
  });

  it("asks again for a watch that was created less than 250 ms before the question (D16)", async () => {
    const a = watchFrom("/a/");
    await clock.settle();
    transport.watchStream.say(message(0, 20, created));
    await clock.advance(300);
    const b = watchFrom("/b/");
    transport.watchStream.say(message(1, 20, created));
    await clock.advance(200);
    transport.watchStream.say(message(2, 20, created));
    expect([a.sink.caughtUp, b.sink.caughtUp]).toEqual([1, 0]);
    expect(sent()).toHaveLength(4);
    await clock.advance(500);
    transport.watchStream.say(message(3, 20, created));
    expect(b.sink.caughtUp).toBe(1);
  });

  it("waits no longer for a sign of life because the connection took long to be made (T3)", async () => {
    transport.roundTripMs = 5_000;
    watchFrom("/a/");
    await clock.settle();
    const silent = transport.watchStream;
    await clock.advance(20);
    silent.say(message(0, 10, created));
    await clock.advance(5_519);
    expect(silent.canceled).toBe(undefined);
    await clock.advance(1);
    expect(silent.canceled).toEqual({ suspect: true });
  });

  it("waits no longer than for the last answer where the connection took long to be made, one watch more or not (T3)", async () => {
    transport.roundTripMs = 5_000;
    for (const prefix of ["/a/", "/b/"]) watchFrom(prefix);
    await clock.settle();
    const stream = transport.watchStream;
    await clock.advance(10);
    stream.say(message(0, 10, created));
    await clock.advance(10);
    watchFrom("/c/");
    await clock.advance(2_999);
    expect(stream.canceled).toBe(undefined);
    await clock.advance(1);
    expect(stream.canceled).toEqual({ suspect: true });
  });

  it("takes any message for a sign of life, and asks again after the next quiet (T3)", async () => {
    watchFrom("/a/");
    await clock.settle();
    const { watchStream } = transport;
    watchStream.say(message(0, 10, created));
    for (let asked = 1; asked <= 3; asked += 1) {
      await clock.advance(5_400);
      expect(sent().slice(asked)).toEqual(["ask"]);
      watchStream.say(message(-1, 10, sign));
    }
    await clock.advance(2_000);
    watchStream.say(message(0, 11, { events: [event("/a/1", 11, "x")] }));
    await clock.advance(2_499);
    expect(sent()).toHaveLength(4);
    expect(watchStream.canceled).toBe(undefined);
  });

  it("leaves no watch behind where one of no key is created all the same", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    const { watchStream } = transport;
    watchStream.say(message(0, 10, created));
    await clock.advance(2_500);
    const [, question] = watchStream.sent;
    const id = question?.type === "create" ? question.watchId : 0;
    for (let asked = 1; asked <= 2; asked += 1) {
      watchStream.say(message(id, 10, created));
      watchStream.say(message(id, 11, { events: [event("/a/1", 11, "x")] }));
      watchStream.say(message(id, 11, { canceled: true }));
      await clock.advance(2_500);
    }
    expect(sent()).toEqual(["create 0", "ask", `cancel ${id}`, "ask", `cancel ${id}`, "ask"]);
    expect(sink.log).toEqual(["created"]);
    expect(watchStream.canceled).toBe(undefined);
  });

  it("takes the refusal of a probe for a sign of life, and blames no watch for it", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    transport.watchStream.say(message(0, 10, created));
    await clock.advance(2_500);
    transport.watchStream.say(message(-1, 10, refused("etcdserver: permission denied")));
    await clock.advance(4_000);
    expect(sink.log).toEqual(["created"]);
    expect(transport.watchStream.canceled).toBe(undefined);
  });

  it("leaves a stream that does not answer the creation of a watch in 3 s (T3)", async () => {
    watchFrom("/a/");
    await clock.advance(2_999);
    expect(transport.watchStream.canceled).toBe(undefined);
    await clock.advance(1);
    expect(transport.watchStreams[0]?.canceled).toEqual({ suspect: true });
  });

  it("leaves a stream that does not answer the creation of one watch more in 3 s (T3)", async () => {
    watchFrom("/a/");
    await clock.settle();
    await clock.advance(2_900);
    transport.watchStream.say(message(0, 10, created));
    await clock.advance(200);
    watchFrom("/b/");
    await clock.advance(2_999);
    expect(transport.watchStreams[0]?.canceled).toBe(undefined);
    await clock.advance(1);
    expect(transport.watchStreams[0]?.canceled).toEqual({ suspect: true });
  });

  it.each([
    ["etcdserver: permission denied", "SD_PERMISSION"],
    ["rpc error: code = Unauthenticated desc = etcdserver: invalid auth token", "SD_UNAVAILABLE"],
    ["mvcc: watcher range is empty", "SD_UNAVAILABLE"],
    ["", "SD_UNAVAILABLE"],
  ])("hands a refusal with the id -1 to the oldest watch without an answer: %j", async (reason, code) => {
    const [a, b, c] = [watchFrom("/a/"), watchFrom("/b/"), watchFrom("/c/")];
    await clock.settle();
    transport.watchStream.say(message(0, 10, created));
    transport.watchStream.say(message(-1, 10, refused(reason)));
    transport.watchStream.say(message(2, 10, created));
    expect([a, b, c].map(({ sink }) => sink.log)).toEqual([["created"], [`refused ${code}`], ["created"]]);
    transport.watchStream.fail(failure("network"));
    await clock.advance(500);
    expect(sent()).toEqual(["create 0", "create 1"]);
  });

  it("hands the refusal of a watch that has left to nobody", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/")];
    await clock.settle();
    a.watch[Symbol.dispose]();
    transport.watchStream.say(message(-1, 10, refused("etcdserver: permission denied")));
    transport.watchStream.say(message(1, 10, created));
    expect([a.sink.log, b.sink.log]).toEqual([[], ["created"]]);
  });

  it("ends a watch whose revision is compacted with a gap, and leaves the others (D7)", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/")];
    await clock.settle();
    for (const id of [0, 1]) transport.watchStream.say(message(id, 10, created));
    // As etcd says it: no reason, and no revision.
    transport.watchStream.say(message(0, 0, { canceled: true, compactRevision: 50 }));
    expect(a.sink.log).toEqual(["created", "gap compacted"]);
    expect(b.sink.log).toEqual(["created"]);
    a.watch[Symbol.dispose]();
    expect(sent()).toEqual(["create 0", "create 1"]);
  });

  it("ends every watch with a gap when a message is too large to receive: never resumed (T6)", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/")];
    await clock.settle();
    transport.watchStream.fail(failure("too-large"));
    await clock.advance(10_000);
    expect([a.sink.log, b.sink.log]).toEqual([["gap too-large"], ["gap too-large"]]);
    expect(transport.watchStreams).toHaveLength(1);
  });

  it("keeps no stream without a watch, and opens one for the next", async () => {
    const first = watchFrom("/a/");
    await clock.settle();
    first.watch[Symbol.dispose]();
    const second = watchFrom("/b/");
    expect(transport.watchStreams[0]?.canceled).toEqual({ suspect: false });
    await clock.advance(500);
    expect(sent()).toEqual(["create 0"]);
    second.watch[Symbol.dispose]();
    expect(transport.watchStream.canceled).toEqual({ suspect: false });
    await clock.settle();
    expect(clock.pending).toBe(0);
  });

  it("leaves at once a stream that opens after its last watch has gone", async () => {
    watchFrom("/a/").watch[Symbol.dispose]();
    await clock.settle();
    expect(transport.watchStream.canceled).toEqual({ suspect: false });
    expect(sent()).toEqual([]);
  });

  it("opens nothing after it was closed, and refuses", async () => {
    await hub.close();
    const { sink } = watchFrom("/a/");
    await clock.advance(60_000);
    expect(transport.watchStreams).toEqual([]);
    expect(sink.log).toEqual(["refused SD_CLOSED"]);
  });

  it("leaves a stream that serves others but never answers the creation of one watch", async () => {
    watchFrom("/a/");
    await clock.settle();
    transport.watchStream.say(message(0, 10, created));
    watchFrom("/b/");
    for (let second = 1; second <= 9; second++) {
      await clock.advance(1_000);
      transport.watchStream.say(message(0, 10 + second));
    }
    expect(transport.watchStream.canceled).toBeUndefined();
    await clock.advance(1_000);
    expect(transport.watchStream.canceled).toEqual({ suspect: true });
  });

  it("leaves a stream that answers one of two creations only, 3 s after that answer (T3)", async () => {
    watchFrom("/a/");
    watchFrom("/b/");
    await clock.advance(2_000);
    const [stream] = transport.watchStreams;
    stream?.say(message(0, 10, created));
    await clock.advance(2_999);
    expect(stream?.canceled).toBe(undefined);
    await clock.advance(1);
    expect(stream?.canceled).toEqual({ suspect: true });
  });

  /** Plays one stream on which nothing follows the creation of the watches; tells how long the pause was. */
  async function stall(ids: readonly number[]): Promise<number> {
    const streams = transport.watchStreams.length;
    for (const id of ids) transport.watchStream.say(message(id, 10, created));
    await clock.advance(5_500);
    let pauseMs = 0;
    for (; transport.watchStreams.length === streams && pauseMs < 10_000; pauseMs += 50)
      await clock.advance(50);
    return pauseMs;
  }

  it("ends a watch with a gap when two streams in a row fall silent once it is created: slow link", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    await stall([0]);
    expect(sink.log).toEqual(["created", "interrupted SD_UNAVAILABLE"]);
    await stall([0]);
    expect(sink.log.slice(2)).toEqual(["created", "gap too-slow"]);
    expect(transport.watchStreams).toHaveLength(2);
  });

  it("keeps a watch that got something, or whose stream answered later, between two silences", async () => {
    const [a, b] = [watchFrom("/a/"), watchFrom("/b/")];
    await clock.settle();
    await stall([0, 1]);
    transport.watchStream.say(message(0, 11, { events: [event("/a/1", 11, "x")] }));
    await stall([1]);
    expect(a.sink.log.at(-1)).toBe("interrupted SD_UNAVAILABLE");
    expect(b.sink.log.at(-1)).toBe("gap too-slow");
    for (let silences = 0; silences < 3; silences += 1) {
      transport.watchStream.say(message(0, 11, created));
      await clock.advance(2_500);
      expect(sent().at(-1)).toBe("ask");
      transport.watchStream.say(message(-1, 11, sign));
      await stall([]);
    }
    expect(a.sink.log.at(-1)).toBe("interrupted SD_UNAVAILABLE");
  });

  it("counts only silences in a row, and only those after `created`: slow link", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    await stall([0]);
    await clock.advance(4_000);
    expect(transport.watchStreams).toHaveLength(3);
    expect(sink.log.at(-1), "not created").toBe("interrupted SD_UNAVAILABLE");
    transport.watchStream.say(message(0, 10, created));
    transport.watchStream.say(message(0, 11, { events: [event("/a/1", 11, "x")] }));
    await stall([]);
    await stall([0]);
    expect(sink.log.at(-1), "delivered between").toBe("interrupted SD_UNAVAILABLE");
  });

  it("does not take a part of a revision for delivered: slow link", async () => {
    const { sink } = watchFrom("/a/");
    await clock.settle();
    for (let streams = 0; streams < 2; streams += 1) {
      transport.watchStream.say(message(0, 10, created));
      transport.watchStream.say(message(0, 11, { fragment: true, events: [event("/a/1", 11, "x")] }));
      await stall([]);
    }
    expect(sink.log.at(-1)).toBe("gap too-slow");
  });

  it("waits longer after a stream that fell silent after the creations, but not if it was cut", async () => {
    watchFrom("/a/");
    await clock.settle();
    expect(await stall([0])).toBe(500);
    transport.watchStream.say(message(0, 10, created));
    transport.watchStream.fail(failure("network"));
    await clock.advance(250);
    expect(transport.watchStreams).toHaveLength(3);
  });

  it("leaves a stream to which a request cannot be written, and opens another after a pause", async () => {
    transport.encode = () => {
      throw new Error("cannot be encoded");
    };
    const { sink } = watchFrom("/a/");
    await clock.settle();
    expect(transport.watchStream.canceled).toEqual({ suspect: false });
    expect(sink.log).toEqual(["interrupted Error: cannot be encoded"]);
    transport.encode = () => {};
    await clock.advance(500);
    expect(sent()).toEqual(["create 0"]);
    transport.watchStream.say(message(0, 10, created));
    expect(sink.log.at(-1)).toBe("created");
  });

  it("leaves a stream whose probe cannot be written", async () => {
    let isBroken = false;
    transport.encode = () => {
      if (isBroken) throw new Error("cannot be encoded");
    };
    const { sink } = watchFrom("/a/");
    await clock.settle();
    transport.watchStream.say(message(0, 10, created));
    isBroken = true;
    await clock.advance(2_500);
    expect(transport.watchStream.canceled).toEqual({ suspect: false });
    expect(sink.log.at(-1)).toBe("interrupted Error: cannot be encoded");
  });

  it("is slow to try again what only an operator can end", async () => {
    const opened: number[] = [];
    transport.opening = async () => {
      opened.push(clock.now());
      throw failure("auth");
    };
    watchFrom("/a/");
    await clock.advance(70_000);
    expect(opened).toEqual([0, 30_000, 60_000]);
  });
});
