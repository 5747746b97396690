import { EtcdProcess, eventually, FaultProxy, leakCheck, oldestAndNewestEtcd } from "@sd/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  createClient,
  type EtcdClient,
  prefixRange,
  Watch,
  type WatchEvent,
  type WatchSink,
} from "../src/index.js";

/** Of as many revisions, in pieces of 1,000 that etcd sends a tenth of a second apart. */
const BACKLOG = 7_000;

describe.each(oldestAndNewestEtcd())("a watch through a cut link, on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let proxy: FaultProxy;
  let leaks: ReturnType<typeof leakCheck>;
  let start = 0;
  const expected: string[] = [];

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
    await using direct = createClient({ endpoints: [etcd.endpoint] });
    const { header } = await direct.transport.range({ key: Buffer.from("/w/"), limit: 1 });
    start = header.revision;
    await writeBacklog(direct, start, expected);
    // Above the backlog: a watch cannot tell from a revision that it has got the whole of it.
    await etcd.ctl("put", "/elsewhere", "");
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  beforeEach(async () => {
    leaks = leakCheck();
    proxy = await FaultProxy.start({ target: etcd.endpoint });
  });
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await leaks.assertClean({ withinMs: 3_000 });
  });

  it("delivers a backlog once and in order, cut right after `created` and after each batch (D3, D6)", async () => {
    let cuts = 0;
    let isCutAfterCreated = false;
    const { seen } = await follow(proxy, start, {
      onCreated() {
        // Once for each place: cut always, it could never get on.
        if (isCutAfterCreated) return;
        isCutAfterCreated = true;
        cuts++;
        proxy.reset();
      },
      onBatch() {
        isCutAfterCreated = false;
        cuts++;
        proxy.reset();
      },
    });
    expect(seen).toEqual(expected);
    expect(cuts).toBeGreaterThan(BACKLOG / 1_000);
  });

  it("has caught up after the last piece of a backlog, though etcd answers in between (D16)", async () => {
    const { seen, seenBeforeCaughtUp } = await follow(proxy, start, {});
    expect(seen).toEqual(expected);
    expect(seenBeforeCaughtUp).toEqual([BACKLOG]);
  });

  it("delivers a backlog once and in order, cut at any byte (D3, F30)", async () => {
    for (let bytes = 20; bytes < 400_000; bytes = Math.ceil(bytes * 3.7)) {
      proxy.resetAfterBytes(bytes);
      const { seen } = await follow(proxy, start, {
        onBatch: () => proxy.resetAfterBytes(bytes),
      });
      expect(seen, `cut after ${bytes} bytes`).toEqual(expected);
    }
  });
});

/** Watches /w/ from `revision` on until the whole backlog is there and it has caught up; records `key@revision`. */
async function follow(
  proxy: FaultProxy,
  revision: number,
  on: { onCreated?(): void; onBatch?(): void },
): Promise<{ seen: string[]; seenBeforeCaughtUp: number[] }> {
  await using client = createClient({ endpoints: [proxy.endpoint] });
  const seen: string[] = [];
  const seenBeforeCaughtUp: number[] = [];
  const sink: WatchSink = {
    onCreated: () => on.onCreated?.(),
    onEvents(events) {
      for (const event of events) seen.push(label(event));
      if (seen.length < BACKLOG) on.onBatch?.();
    },
    onCaughtUp: () => seenBeforeCaughtUp.push(seen.length),
    onBehind: () => {},
    onStale: () => {},
    onProgress: () => {},
    onInterrupted: () => {},
    onGap: (gap) => seen.push(gap),
    onRefused: (error) => seen.push(String(error)),
  };
  using _ = new Watch(client.watches, prefixRange(Buffer.from("/w/")), revision, sink);
  await eventually(() => seen.length >= BACKLOG && seenBeforeCaughtUp.length > 0, { timeoutMs: 50_000 });
  return { seen, seenBeforeCaughtUp };
}

function label({ type, kv }: WatchEvent): string {
  return `${type} ${Buffer.from(kv.key)}@${kv.modRevision}`;
}

/** One revision for each event; the keys come round, so that a later write could hide a lost one. */
async function writeBacklog(client: EtcdClient, start: number, expected: string[]): Promise<void> {
  const lease = await client.leases.grant({ ttlSeconds: 3_600 });
  const keys = new Map<number, string>();
  const put = async (index: number): Promise<void> => {
    const key = `/w/${index % 100}`;
    const { header } = await client.transport.txn({
      compare: [],
      success: [{ type: "put", key: Buffer.from(key), value: Buffer.from(String(index)), lease: lease.id }],
      failure: [],
    });
    keys.set(header.revision, key);
  };
  for (let index = 0; index < BACKLOG; index += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, offset) => put(index + offset)));
  }
  lease.release();
  for (let revision = start + 1; revision <= start + BACKLOG; revision++) {
    expected.push(`put ${keys.get(revision)}@${revision}`);
  }
}
