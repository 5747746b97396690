import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import { WatchFilter, type WatchResponse } from "./api/watch.js";
import { behaviours } from "./behaviour.js";
import { MemoryServer } from "./memory-server.js";
import { deletion, NO_END, put, text, txn, watch } from "./requests.fixture.js";
import type { WatchServer } from "./watch-server.js";

let clock: ManualClock;
let server: MemoryServer;
let messages: WatchResponse[];
let stream: WatchServer;

beforeEach(() => {
  clock = new ManualClock();
  server = new MemoryServer({ clock, progressIntervalMs: 1_000 });
  messages = [];
  stream = server.openWatch((message) => messages.push(message));
});

afterEach(() => {
  stream.close();
  expect(clock.pending).toBe(0);
});

type Wanted = Parameters<typeof watch>[0];
const create = (given: Wanted = {}) =>
  stream.receive({ create: watch({ key: "w/", rangeEnd: "w0", ...given }) });
const write = (key: string, value = "") => server.put(put(key, value)).header.revision;
const ids = () => messages.map(({ watchId }) => watchId);
const eventsOf = (id: bigint) =>
  messages
    .filter(({ watchId }) => watchId === id)
    .flatMap(({ events }) => events)
    .map(({ type, kv, prevKv }) => `${type} ${text(kv.key)}${prevKv ? ` was ${text(prevKv.value)}` : ""}`);

describe("a watch stream: ids", () => {
  it("takes any that is free, and chooses the lowest that is", () => {
    for (const watchId of [0n, 5n, 0n, 5n, -3n, 2n ** 60n + 1n, 2n, 0n]) create({ watchId });
    expect(ids()).toEqual([0n, 5n, 1n, -1n, -3n, 2n ** 60n + 1n, 2n, 3n]);
    expect(messages[3]).toMatchObject({ created: true, canceled: true });
  });

  it("frees one that is canceled, and answers no other", () => {
    stream.receive({ cancel: { watchId: 9n } });
    create({ watchId: 5n });
    stream.receive({ cancel: { watchId: 5n } });
    create({ watchId: 5n });
    stream.receive({});
    expect(messages.map(({ created, canceled }) => [created, canceled])).toEqual([
      [true, false],
      [false, true],
      [true, false],
    ]);
  });

  it("keeps one taken that was canceled as compacted, until the client cancels it too", async () => {
    for (let n = 0; n < 5; n += 1) write("w/a");
    server.compact({ revision: 5, physical: true });
    create({ watchId: 3n, startRevision: 4 });
    await clock.settle();
    create({ watchId: 3n });
    stream.receive({ progress: {} });
    stream.receive({ cancel: { watchId: 3n } });
    create({ watchId: 3n });
    stream.receive({ progress: {} });
    expect(
      messages.map(({ watchId, compactRevision, canceled }) => [watchId, compactRevision, canceled]),
    ).toEqual([
      [3n, 0, false],
      [3n, 5, true],
      [-1n, 0, true],
      [3n, 0, true],
      [3n, 0, false],
      [-1n, 0, false],
    ]);
  });
});

describe("a watch stream: what it tells", () => {
  it("tells what was there before, unless it is compacted", async () => {
    create({ prevKv: true });
    write("w/a", "1");
    write("w/a", "2");
    server.deleteRange(deletion("w/a"));
    write("w/a", "3");
    expect(eventsOf(0n)).toEqual(["put w/a", "put w/a was 1", "delete w/a was 2", "put w/a"]);
    server.compact({ revision: 3, physical: true });
    create({ prevKv: true, startRevision: 3 });
    await clock.settle();
    expect(eventsOf(1n)).toEqual(["put w/a", "delete w/a was 2", "put w/a"]);
  });

  it("spares what it is asked to, in batches of unspared revisions", async () => {
    for (let n = 0; n < 1_000; n += 1) write("w/a");
    server.deleteRange(deletion("w/a"));
    create({ startRevision: 2, filters: [WatchFilter.noPut] });
    create({ startRevision: 2, filters: [WatchFilter.noDelete] });
    create({ startRevision: 2, filters: [WatchFilter.noPut, WatchFilter.noDelete] });
    create({ filters: [7] });
    await clock.settle();
    write("w/b");
    expect(eventsOf(0n)).toEqual(["delete w/a"]);
    expect(eventsOf(1n)).toHaveLength(1_001);
    expect(eventsOf(2n)).toEqual([]);
    expect(eventsOf(3n)).toEqual(["put w/b"]);
  });

  it("watches a key, everything from it on, and everything if it names none", () => {
    create({ key: "a", rangeEnd: "" });
    create({ key: "b", rangeEnd: NO_END });
    create({ key: "", rangeEnd: NO_END });
    create({ key: "", rangeEnd: "" });
    for (const key of ["a", "aa", "b"]) write(key);
    expect([0n, 1n, 2n, 3n].map((id) => eventsOf(id).length)).toEqual([1, 1, 3, 0]);
  });

  it("tells the changes of one revision in the order in which they were made", () => {
    create();
    write("w/1");
    const success = [{ put: put("w/z") }, { put: put("w/y") }, { deleteRange: deletion("w/0", "w/3") }];
    server.txn(txn({ success }));
    expect(messages.slice(2)).toHaveLength(1);
    expect(eventsOf(0n).slice(1)).toEqual(["put w/z", "put w/y", "delete w/1"]);
  });

  it("cuts what is too large into fragments, if it is asked to", async () => {
    const big = "x".repeat(500_000);
    for (let n = 0; n < 6; n += 1) write(`w/${n}`, n < 5 ? big : "s");
    create({ startRevision: 2, fragment: true });
    create({ startRevision: 2 });
    await clock.settle();
    const parts = messages.filter(({ events }) => events.length > 0);
    expect(parts.map(({ watchId, fragment, events }) => [watchId, fragment, events.length])).toEqual([
      [0n, true, 4],
      [0n, false, 2],
      [1n, false, 6],
    ]);
  });
});

describe("a watch stream: progress", () => {
  const answers = () => messages.filter(({ watchId }) => watchId === -1n).length;

  it("is not told before the store has reached the first revision of every watch, in 3.5.30", () => {
    create({ startRevision: write("w/a") + 1 });
    stream.receive({ progress: {} });
    expect(answers()).toBe(0);
    write("elsewhere");
    stream.receive({ progress: {} });
    expect(answers()).toBe(1);
    server.behave(behaviours["3.5.16"]);
    create({ startRevision: 99 });
    stream.receive({ progress: {} });
    expect(answers()).toBe(2);
  });

  it("is told at once, without watches too, in 3.4.23", () => {
    server.behave(behaviours["3.4.23"]);
    stream.receive({ progress: {} });
    create({ startRevision: 1 });
    stream.receive({ progress: {} });
    expect(answers()).toBe(2);
  });

  it("is told by itself to a quiet watch that has asked for it", async () => {
    create({ progressNotify: true });
    create();
    await clock.advance(1_000);
    write("w/a");
    await clock.advance(2_000);
    expect(messages.slice(2).map(({ watchId, events }) => [watchId, events.length])).toEqual([
      [0n, 0],
      [0n, 1],
      [1n, 1],
      [0n, 0],
    ]);
  });
});

describe("a watch stream: a start below 0", () => {
  it("is refused by 3.5.30, and compacted by 3.4.23", async () => {
    create({ startRevision: -5, watchId: 7n });
    server.behave(behaviours["3.4.23"]);
    create({ startRevision: -5, watchId: 7n });
    await clock.settle();
    expect(messages).toMatchObject([
      { watchId: -1n, created: true, canceled: true, cancelReason: expect.stringContaining("compacted") },
      { watchId: 7n, created: true, canceled: false },
      { watchId: 7n, canceled: true, compactRevision: -1, header: { revision: 0 } },
    ]);
  });
});

describe("a watch stream whose client does not read", () => {
  it("is told what it missed, in batches, when it reads again", async () => {
    create();
    create({ startRevision: 4 });
    write("w/1");
    stream.fallBehind();
    for (let n = 0; n < 1_200; n += 1) write("w/2", String(n));
    stream.receive({ progress: {} });
    await clock.advance(10_000);
    expect(eventsOf(0n)).toEqual(["put w/1"]);
    expect(messages).toHaveLength(3);
    stream.catchUp();
    await clock.settle();
    const revisions = (id: bigint) =>
      messages
        .filter(({ watchId }) => watchId === id)
        .flatMap(({ events }) => events.map(({ kv }) => kv.modRevision));
    expect(revisions(0n)).toEqual(Array.from({ length: 1_201 }, (_, index) => index + 2));
    expect(revisions(1n)).toEqual(Array.from({ length: 1_199 }, (_, index) => index + 4));
    write("w/live");
    expect(messages.slice(-2).map(({ events }) => events.length)).toEqual([1, 1]);
  });

  it("is canceled if that is compacted by then", async () => {
    create();
    stream.fallBehind();
    for (let n = 0; n < 9; n += 1) write("w/1");
    server.compact({ revision: 8, physical: true });
    stream.catchUp();
    await clock.settle();
    expect(messages.at(-1)).toMatchObject({ canceled: true, compactRevision: 8, header: { revision: 0 } });
    expect(eventsOf(0n)).toEqual([]);
  });
});
