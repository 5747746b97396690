import { type DuplexStream, failureOf, type WatchRequest, type WatchResponse } from "@sd/core";
import { afterEach, describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import { leaseId } from "./lease-id.js";
import { MemoryEtcd, type MemoryEtcdOptions } from "./memory-etcd.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

interface Fixture {
  readonly clock: ManualClock;
  readonly etcd: MemoryEtcd;
  readonly messages: WatchResponse[];
  readonly ends: unknown[];
  readonly stream: DuplexStream<WatchRequest>;
  create(watchId: number, startRevision: number, key?: string, rangeEnd?: string): void;
  /** Messages with events: header revision, then key and revision of each event. */
  deliveries(): [number, ...string[]][];
}

const open: MemoryEtcd[] = [];
afterEach(() => Promise.all(open.splice(0).map((etcd) => etcd.close())));

async function start(options: Partial<MemoryEtcdOptions> = {}): Promise<Fixture> {
  const clock = new ManualClock();
  const etcd = new MemoryEtcd({ clock, ...options });
  open.push(etcd);
  const messages: WatchResponse[] = [];
  const ends: unknown[] = [];
  const stream = await etcd.transport().watch({
    onMessage: (message) => messages.push(message),
    onEnd: (error) => ends.push(failureOf(error)),
  });
  return {
    clock,
    etcd,
    messages,
    ends,
    stream,
    create: (watchId, startRevision, key = "/a/", rangeEnd = "/a0") =>
      stream.send({ type: "create", watchId, key: bytes(key), rangeEnd: bytes(rangeEnd), startRevision }),
    deliveries: () =>
      messages
        .filter(({ events }) => events.length > 0)
        .map(({ header, events }) => [
          header.revision,
          ...events.map(({ type, kv }) => `${type} ${text(kv.key)}@${kv.modRevision}`),
        ]),
  };
}

describe("a watch of MemoryEtcd", () => {
  it("delivers live changes, those of one revision in one message", async () => {
    const { clock, etcd, messages, create, deliveries } = await start();
    const client = etcd.transport();
    create(1, 2);
    await clock.settle();
    expect(messages).toMatchObject([{ watchId: 1, created: true, canceled: false, header: { revision: 1 } }]);
    await client.grant({ id: leaseId(1n), ttlSeconds: 2 });
    for (const key of ["/a/1", "/a/2", "/b"]) etcd.put(key, "x", { lease: 1n });
    await clock.advance(2_000);
    expect(deliveries()).toEqual([
      [2, "put /a/1@2"],
      [3, "put /a/2@3"],
      [5, "delete /a/1@5", "delete /a/2@5"],
    ]);
    expect(messages.at(-1)?.events[0]?.kv).toEqual({
      key: bytes("/a/1"),
      value: new Uint8Array(0),
      createRevision: 0,
      modRevision: 5,
      version: 0,
      lease: 0n,
    });
  });

  it("catches up in batches of 1000 revisions whose header is already the newest", async () => {
    const { clock, etcd, messages, create, deliveries } = await start({ catchUpDelayMs: 100 });
    for (let n = 1; n <= 2_500; n += 1) etcd.put(`/a/${n % 7}`, `${n}`);
    create(1, 2);
    await clock.settle();
    expect(messages).toMatchObject([{ created: true, header: { revision: 2_501 } }]);
    await clock.advance(100);
    etcd.put("/a/live", "");
    expect(deliveries().map(([revision, ...events]) => [revision, events.length, events.at(-1)])).toEqual([
      [2_501, 1_000, "put /a/6@1001"],
    ]);
    await clock.advance(200);
    expect(deliveries().map(([revision, ...events]) => [revision, events.length])).toEqual([
      [2_501, 1_000],
      [2_502, 1_000],
      [2_502, 501],
    ]);
    etcd.put("/a/live", "");
    await clock.settle();
    expect(deliveries().at(-1)).toEqual([2_503, "put /a/live@2503"]);
  });

  it("is canceled right after `created` if its start is compacted, without a reason or a revision", async () => {
    const { clock, etcd, messages, create, deliveries } = await start();
    for (let n = 0; n < 5; n += 1) etcd.put(`/a/${n}`, "");
    etcd.compact(4);
    create(1, 3);
    create(2, 4);
    await clock.settle();
    expect(messages.filter(({ watchId }) => watchId === 1)).toMatchObject([
      { created: true, canceled: false, compactRevision: 0, header: { revision: 6 } },
      { created: false, canceled: true, compactRevision: 4, cancelReason: "", header: { revision: 0 } },
    ]);
    expect(deliveries()).toEqual([[6, "put /a/2@4", "put /a/3@5", "put /a/4@6"]]);
  });

  it("accepts a start in the future and stays silent until then", async () => {
    const { clock, etcd, create, deliveries } = await start();
    create(1, 4);
    await clock.settle();
    for (let n = 2; n <= 4; n += 1) etcd.put("/a/x", `${n}`);
    await clock.settle();
    expect(deliveries()).toEqual([[4, "put /a/x@4"]]);
  });

  it("refuses a taken id and an empty range as watch -1", async () => {
    const { clock, messages, create } = await start();
    create(1, 2);
    create(1, 2);
    create(2, 2, "/b", "/a");
    await clock.settle();
    expect(messages.slice(1)).toMatchObject([
      { watchId: -1, created: true, canceled: true, cancelReason: expect.stringContaining("duplicate") },
      { watchId: -1, created: true, canceled: true, cancelReason: "mvcc: watcher range is empty" },
    ]);
  });

  it("ends alone when it is canceled", async () => {
    const { clock, etcd, stream, messages, create, deliveries } = await start();
    create(1, 2);
    create(2, 2);
    stream.send({ type: "cancel", watchId: 1 });
    stream.send({ type: "cancel", watchId: 9 });
    await clock.settle();
    etcd.put("/a/x", "");
    await clock.settle();
    expect(messages.filter(({ canceled }) => canceled)).toMatchObject([{ watchId: 1, cancelReason: "" }]);
    expect(deliveries()).toHaveLength(1);
  });

  it("answers a progress request as watch -1 once all watches are in step", async () => {
    const { clock, etcd, stream, messages, create } = await start();
    stream.send({ type: "progress" });
    await clock.settle();
    expect(messages).toEqual([]);
    etcd.put("/a/x", "");
    create(1, 2);
    stream.send({ type: "progress" });
    await clock.settle();
    expect(messages.some(({ watchId }) => watchId === -1)).toBe(false);
    stream.send({ type: "progress" });
    await clock.settle();
    expect(messages.at(-1)).toMatchObject({ watchId: -1, events: [], header: { revision: 2 } });
  });

  it("answers it ahead of events if told to be an old etcd", async () => {
    const { clock, etcd, stream, messages, create } = await start({ behaviour: { progress: "at-once" } });
    etcd.put("/a/x", "");
    create(1, 2);
    stream.send({ type: "progress" });
    await clock.settle();
    expect(messages.map(({ watchId, events }) => [watchId, events.length])).toEqual([
      [1, 0],
      [-1, 0],
      [1, 1],
    ]);
  });

  it("is cut after as many messages as the test lets through", async () => {
    const { clock, etcd, ends, create, deliveries } = await start();
    for (let n = 0; n < 2_500; n += 1) etcd.put("/a/x", `${n}`);
    etcd.holdWatchEvents();
    create(1, 2);
    await clock.settle();
    expect([etcd.heldWatchMessages, deliveries().length]).toEqual([3, 0]);
    etcd.releaseWatchEvents(1);
    await clock.settle();
    expect(deliveries()).toHaveLength(1);
    etcd.cut();
    await clock.settle();
    expect([ends, etcd.heldWatchMessages, etcd.openStreams]).toEqual([["network"], 0, 0]);
    etcd.releaseWatchEvents();
    await clock.settle();
    expect(deliveries()).toHaveLength(1);
  });

  it("keeps what follows a held message behind it", async () => {
    const { clock, etcd, stream, messages, create } = await start();
    create(1, 2);
    await clock.settle();
    etcd.holdWatchEvents();
    etcd.put("/a/x", "");
    stream.send({ type: "progress" });
    await clock.settle();
    expect(messages).toHaveLength(1);
    etcd.releaseWatchEvents();
    await clock.settle();
    expect(messages.map(({ watchId }) => watchId)).toEqual([1, 1, -1]);
  });

  it("tells a frozen stream's news after the thaw", async () => {
    const { clock, etcd, create, deliveries } = await start();
    create(1, 2);
    await clock.settle();
    etcd.freeze();
    etcd.put("/a/x", "");
    await clock.advance(1_000);
    expect(deliveries()).toEqual([]);
    etcd.thaw();
    await clock.settle();
    expect(deliveries()).toHaveLength(1);
  });

  it("tells its owner nothing after `cancel()`, even if it was cut before", async () => {
    const { clock, etcd, stream, ends } = await start();
    etcd.cut();
    stream.cancel();
    await clock.settle();
    expect(ends).toEqual([]);
  });
});
