import { fixedRandom, ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { bytes } from "../../test/observe.js";
import { RecordingSink } from "../../test/recorders.js";
import { failure, header, message, ScriptedTransport } from "../../test/scripted-transport.js";
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
  };
});

function watchFrom(prefix: string, revision = 10): { readonly watch: Watch; readonly sink: RecordingSink } {
  const sink = new RecordingSink();
  return { watch: new Watch(hub, prefixRange(bytes(prefix)), revision, sink), sink };
}

const created = { created: true };
/** What a proxy says by itself. */
const proxied = { header: { ...header(10), clusterId: 0n } };
const refused = { created: true, canceled: true, cancelReason: "" };
const sent = () =>
  transport.watchStream.sent.map((request) => {
    if (request.type === "progress") return "progress";
    if (request.type === "create" && `${request.rangeEnd}` === `${request.key}`) return "ask";
    return `${request.type} ${request.watchId}`;
  });

/** Plays the proxy: it refuses a range without keys at once, and cancels by itself what it has not created yet. */
function answerByItself(): void {
  for (const request of transport.watchStream.sent.splice(0)) {
    if (request.type === "cancel") {
      transport.watchStream.say(message(request.watchId, 0, { canceled: true, ...proxied }));
    } else if (request.type === "create" && `${request.rangeEnd}` === `${request.key}`) {
      transport.watchStream.say(message(-1, 0, { ...refused, ...proxied }));
    }
  }
}

describe("WatchHub behind etcd's grpc-proxy", () => {
  it("asks by a read where a proxy answers on the stream, which proves no etcd behind it (T3, F38)", async () => {
    const { sink } = watchFrom("/a/");
    const reads: number[] = [];
    let isAnswering = true;
    transport.range = async () => {
      reads.push(clock.now());
      if (!isAnswering) throw failure("timeout");
      return { header: header(10), kvs: [], more: false, count: 0 };
    };
    await clock.settle();
    const stream = transport.watchStream;
    stream.say(message(0, 10, created));
    await clock.advance(2_500);
    stream.say(message(-1, 0, { ...refused, ...proxied }));
    await clock.advance(5_000);
    expect(reads).toEqual([5_000, 7_500]);
    expect(sent()).toEqual(["create 0", "ask", "ask"]);
    expect(sink.log).toEqual(["created"]);
    isAnswering = false;
    await clock.advance(2_500);
    expect(stream.canceled).toEqual({ suspect: true });
    expect(sink.log).toEqual(["created", "interrupted SD_UNAVAILABLE"]);
    // The next stream may lead to etcd itself.
    await clock.advance(500);
    transport.watchStream.say(message(0, 10, created));
    await clock.advance(2_500);
    expect(sent()).toEqual(["create 0", "ask"]);
    // Its next id is the proxy's own next: a question that is refused takes none.
    transport.watchStream.say(message(-1, 0, { ...refused, ...proxied }));
    watchFrom("/b/");
    expect(sent()).toEqual(["create 0", "ask", "create 1"]);
    transport.watchStream.say(message(1, 10, created));
    expect(transport.watchStream.canceled).toBe(undefined);
  });

  it("leaves a stream that is dead as far as the proxy, though reads are answered: 10 s after it is asked (T3, F38)", async () => {
    watchFrom("/a/");
    transport.range = async () => ({ header: header(10), kvs: [], more: false, count: 0 });
    await clock.settle();
    const stream = transport.watchStream;
    stream.say(message(0, 10, { ...created, ...proxied }));
    for (let asked = 1; asked <= 20; asked += 1) {
      await clock.advance(2_500);
      expect(sent().slice(asked)).toEqual(["ask"]);
      stream.say(message(-1, 0, { ...refused, ...proxied }));
    }
    await clock.advance(2_500 + 9_999);
    expect(stream.canceled).toBe(undefined);
    await clock.advance(1);
    expect(stream.canceled).toEqual({ suspect: true });
  });

  it("takes no refusal of a question for that of a watch whose creation is on its way", async () => {
    const a = watchFrom("/a/");
    const answers: (() => void)[] = [];
    transport.range = () =>
      new Promise((resolve) => {
        answers.push(() => resolve({ header: header(10), kvs: [], more: false, count: 0 }));
      });
    await clock.settle();
    const stream = transport.watchStream;
    stream.say(message(0, 10, { ...created, ...proxied }));
    await clock.advance(2_500);
    answerByItself();
    const b = watchFrom("/b/");
    await clock.advance(10);
    answers[0]?.();
    await clock.advance(2_500);
    answerByItself();
    stream.say(message(1, 10, created));
    expect([a.sink.log, b.sink.log]).toEqual([["created"], ["created"]]);
  });

  it("has not caught up before the read is answered, whatever the proxy says meanwhile (D16, F38)", async () => {
    const { sink } = watchFrom("/a/");
    let answer: (() => void) | undefined;
    transport.range = () =>
      new Promise((resolve) => {
        answer = () => resolve({ header: header(20), kvs: [], more: false, count: 0 });
      });
    await clock.settle();
    transport.watchStream.say(message(0, 20, { ...created, header: { ...header(20), clusterId: 0n } }));
    await clock.advance(500);
    answerByItself();
    await clock.advance(100);
    expect(sink.caughtUp).toBe(0);
    answer?.();
    await clock.settle();
    expect(sink.caughtUp).toBe(1);
  });

  it("takes no proof from what shows itself as a proxy by that answer: asks by a read then (D16, F38)", async () => {
    const { sink } = watchFrom("/a/");
    let reads = 0;
    transport.range = async () => {
      reads += 1;
      return { header: header(20), kvs: [], more: false, count: 0 };
    };
    await clock.settle();
    // Created by etcd, whose header it is.
    transport.watchStream.say(message(0, 20, created));
    await clock.advance(500);
    answerByItself();
    expect([sink.caughtUp, reads]).toEqual([0, 0]);
    await clock.advance(500);
    expect([sink.caughtUp, reads]).toEqual([1, 1]);
  });

  it("lets it create one watch after the other, however long all of them take (F38)", async () => {
    transport.range = async () => ({ header: header(10), kvs: [], more: false, count: 0 });
    const watches = Array.from({ length: 30 }, (_, index) => watchFrom(`/${index}/`));
    await clock.settle();
    const stream = transport.watchStream;
    for (const index of watches.keys()) {
      await clock.advance(index === 0 ? 1 : 4_000);
      stream.say(message(index, 10, { ...created, ...(index === 0 && proxied) }));
    }
    expect(stream.canceled).toBe(undefined);
    expect(watches.every(({ sink }) => `${sink.log}` === "created")).toBe(true);
  });

  it("gives the creation of one watch more 10 s, while reads are answered (F38)", async () => {
    transport.range = async () => ({ header: header(10), kvs: [], more: false, count: 0 });
    watchFrom("/a/");
    await clock.settle();
    const stream = transport.watchStream;
    stream.say(message(0, 10, { ...created, ...proxied }));
    await clock.advance(1_000);
    watchFrom("/b/");
    await clock.advance(9_999);
    expect(stream.canceled).toBe(undefined);
    await clock.advance(1);
    expect(stream.canceled).toEqual({ suspect: true });
  });

  it("asks by no range that has keys, even where all are watched", async () => {
    watchFrom("");
    await clock.settle();
    transport.watchStream.say(message(0, 10, created));
    await clock.advance(2_500);
    const question = transport.watchStream.sent.at(-1);
    expect(question).toMatchObject({ key: Uint8Array.of(0, 0), rangeEnd: Uint8Array.of(0, 0) });
  });
});
