import { fixedRandom, ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { failure, ScriptedTransport } from "../../test/scripted-transport.js";
import { sleep } from "../kit/signals.js";
import { StreamLoop } from "./stream-loop.js";
import type { KeepAliveRequest, KeepAliveResponse } from "./types.js";

let clock: ManualClock;
let transport: ScriptedTransport;
let loop: StreamLoop<KeepAliveRequest, KeepAliveResponse>;
let isWanted: boolean;
let log: string[];
let onOpen: () => void;
let maxPauseMs: number;

beforeEach(() => {
  clock = new ManualClock();
  transport = new ScriptedTransport();
  isWanted = true;
  log = [];
  maxPauseMs = Number.POSITIVE_INFINITY;
  onOpen = () => {};
  const tell = (what: string): void => void log.push(`${what} @${clock.now()}`);
  loop = new StreamLoop({
    clock,
    random: fixedRandom(0.5),
    open: (handlers, options) => transport.keepAlive(handlers, options),
    isWanted: () => isWanted,
    limits: () => ({ baseMs: 500 }),
    maxPauseMs: () => maxPauseMs,
    onOpen: () => {
      tell("open");
      onOpen();
    },
    onMessage: () => {},
    onOver: () => tell("over"),
    onInterrupted: () => tell("interrupted"),
  });
  return async () => {
    isWanted = false;
    await loop.close();
    expect(clock.pending).toBe(0);
    expect(transport.keepAliveStreams.every(({ isOver }) => isOver)).toBe(true);
  };
});

describe("StreamLoop", () => {
  it("tells of each stream's opening, its end and the pause, in this order", async () => {
    loop.start();
    expect([log, loop.isOpen]).toEqual([[], false]);
    await clock.settle();
    expect([log, loop.isOpen, loop.endpoint]).toEqual([["open @0"], true, "scripted"]);
    transport.keepAliveStream.fail(failure("network"));
    expect(loop.isOpen).toBe(false);
    await clock.advance(500);
    expect(log).toEqual(["open @0", "over @0", "interrupted @0", "open @500"]);
  });

  it("pauses for longer and longer, until a stream was of use", async () => {
    transport.opening = async () => {
      throw failure("network");
    };
    loop.start();
    await clock.advance(3_500);
    expect(log.map((line) => Number(line.split("@")[1]))).toEqual([0, 500, 1_500, 3_500]);
    transport.opening = async () => {};
    await clock.advance(2_500);
    loop.succeeded();
    log.length = 0;
    loop.leave(failure("timeout"), true);
    expect(transport.keepAliveStream.canceled).toEqual({ suspect: true });
    await clock.advance(250);
    expect(log).toEqual(["over @6000", "interrupted @6000", "open @6250"]);
  });

  it("starts over when a token is refused after an outage, not when it is refused again", async () => {
    let kind: "network" | "token" = "network";
    transport.opening = async () => {
      throw failure(kind);
    };
    loop.start();
    await clock.advance(1_500);
    kind = "token";
    await clock.advance(10_000);
    expect(log.map((line) => Number(line.split("@")[1]))).toEqual([
      0, 500, 1_500, 3_500, 3_750, 4_250, 5_250, 7_250, 9_750,
    ]);
  });

  it("counts the time of an attempt as a part of the pause, but for a fifth", async () => {
    transport.opening = async () => {
      await sleep(clock, 900);
      throw failure("network");
    };
    loop.start();
    await clock.advance(6_000);
    // Pauses of 500, 1000, 2000 and 2500 ms.
    expect(log.map((line) => Number(line.split("@")[1]))).toEqual([900, 1_900, 3_000, 5_000]);
  });

  it("pauses no longer than its owner bears", async () => {
    transport.opening = async () => {
      throw failure("network");
    };
    maxPauseMs = 300;
    loop.start();
    await clock.advance(500);
    expect(log.map((line) => Number(line.split("@")[1]))).toEqual([0, 150, 300, 450]);
  });

  it("does not pause before the next stream when the last one was only not wanted for a moment", async () => {
    loop.start();
    await clock.settle();
    loop.stop();
    loop.start();
    await clock.settle();
    expect(log).toEqual(["open @0", "over @0", "open @0"]);
    expect(transport.keepAliveStreams[0]?.canceled).toEqual({ suspect: false });
  });

  it("leaves at once a stream that opens when nothing is wanted any more", async () => {
    loop.start();
    isWanted = false;
    await clock.settle();
    expect(transport.keepAliveStream.canceled).toEqual({ suspect: false });
    expect(log).toEqual(["over @0"]);
  });

  it("treats a stream that ended while it was opened as ended", async () => {
    const { keepAlive } = transport;
    transport.keepAlive = async (handlers, options) => {
      const stream = await keepAlive.call(transport, handlers, options);
      if (transport.keepAliveStreams.length === 1) stream.fail(failure("network"));
      return stream;
    };
    loop.start();
    await clock.settle();
    expect([log, loop.isOpen]).toEqual([["over @0", "interrupted @0"], false]);
    await clock.advance(500);
    expect(log).toEqual(["over @0", "interrupted @0", "open @500"]);
  });

  it("takes what is thrown on opening for the end of the stream", async () => {
    onOpen = () => {
      throw new Error("on purpose");
    };
    loop.start();
    await clock.settle();
    expect(log).toEqual(["open @0", "over @0", "interrupted @0"]);
    expect(transport.keepAliveStream.canceled).toEqual({ suspect: false });
  });

  it("ends a pause after a lasting refusal, but no other, when more is wanted", async () => {
    let kind: "auth" | "network" = "auth";
    transport.opening = async () => {
      throw failure(kind);
    };
    loop.start();
    await clock.advance(1_000);
    expect(log).toEqual(["interrupted @0"]);
    kind = "network";
    loop.start();
    await clock.settle();
    expect(log).toEqual(["interrupted @0", "interrupted @1000"]);
    loop.start();
    await clock.settle();
    expect(log).toHaveLength(2);
  });

  it("ends the pause when nothing is wanted any more", async () => {
    transport.opening = async () => {
      throw failure("auth");
    };
    loop.start();
    await clock.settle();
    isWanted = false;
    loop.stop();
    await clock.settle();
    expect(clock.pending).toBe(0);
  });

  it("opens nothing after it was closed", async () => {
    loop.start();
    await clock.settle();
    await loop.close();
    expect(log).toEqual(["open @0", "over @0"]);
    loop.start();
    await clock.advance(60_000);
    expect([log.length, loop.isOpen, loop.isClosed]).toEqual([2, false, true]);
  });
});
