import { EtcdProcess, etcdBinaries, eventually, leakCheck, leaseId } from "@sd/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEtcd3Transport } from "../src/etcd/etcd3/etcd3-transport.js";
import { failureOf } from "../src/etcd/failure.js";
import type { EtcdTransport } from "../src/etcd/transport.js";
import type { LeaseId, Operation, WatchResponse } from "../src/etcd/types.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (array: Uint8Array | undefined): string => new TextDecoder().decode(array);
const prefix = (name: string) => ({ key: bytes(`/${name}/`), rangeEnd: bytes(`/${name}0`) });
const put = (key: string, value: string, lease: LeaseId): Operation => ({
  type: "put",
  key: bytes(key),
  value: bytes(value),
  lease,
});

let lastLease = 0x7fff_0000_0000_0001n;

describe.each(etcdBinaries())("the etcd3 transport, on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let transport: EtcdTransport;

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
    transport = createEtcd3Transport({ endpoints: etcd.endpoint });
  });
  afterAll(async () => {
    await transport.close();
    await etcd[Symbol.asyncDispose]();
  });

  async function grant(): Promise<LeaseId> {
    lastLease += 1n;
    return (await transport.grant({ id: leaseId(lastLease), ttlSeconds: 60 })).id;
  }

  async function write(...operations: Operation[]): Promise<number> {
    const answer = await transport.txn({ compare: [], success: operations, failure: [] });
    return answer.header.revision;
  }

  it("grants a lease under the id that was asked for, and tells a taken id (R6)", async () => {
    const id = leaseId(0x7fff_ffff_ffff_ffffn);
    expect(await transport.grant({ id, ttlSeconds: 30 })).toMatchObject({ id, ttlSeconds: 30 });
    const again = await transport.grant({ id, ttlSeconds: 30 }).catch((error: unknown) => error);
    expect(failureOf(again)).toBe("lease-exists");
  });

  it("writes, lists by pages, counts, and reads the past", async () => {
    const lease = await grant();
    const revision = await write(put("/list/a", "1", lease), put("/list/b", "2", lease));
    await write(put("/list/a", "3", lease));
    const page = await transport.range({ ...prefix("list"), limit: 1 });
    expect(page).toMatchObject({ more: true, count: 2 });
    expect(page.kvs.map(({ key, value }) => [text(key), text(value)])).toEqual([["/list/a", "3"]]);
    expect(page.kvs[0]).toMatchObject({ lease, version: 2, createRevision: revision });
    const past = await transport.range({ ...prefix("list"), revision });
    expect(past.kvs.map(({ value }) => text(value))).toEqual(["1", "2"]);
    expect(await transport.range({ ...prefix("list"), countOnly: true })).toMatchObject({
      kvs: [],
      count: 2,
    });
    const keys = await transport.range({ ...prefix("list"), keysOnly: true });
    expect(keys.kvs.map(({ value }) => value.length)).toEqual([0, 0]);
    expect(page.header.clusterId).toBeGreaterThan(2n ** 53n);
  });

  it("compares by create revision, mod revision and lease, and answers the ranges that ran", async () => {
    const lease = await grant();
    const key = bytes("/txn/a");
    const range: Operation = { type: "range", range: { key } };
    const revision = await write(put("/txn/a", "1", lease));
    const outcome = async (...compare: Parameters<EtcdTransport["txn"]>[0]["compare"]) => {
      const answer = await transport.txn({ compare, success: [range, range], failure: [range] });
      return [answer.succeeded, answer.ranges.map(({ kvs }) => kvs.length)];
    };
    expect(await outcome({ target: "create", key, equals: revision })).toEqual([true, [1, 1]]);
    expect(await outcome({ target: "create", key, equals: 0 })).toEqual([false, [1]]);
    expect(await outcome({ target: "create", key: bytes("/txn/none"), equals: 0 })).toEqual([true, [1, 1]]);
    expect(await outcome({ target: "mod", key, equals: revision })).toEqual([true, [1, 1]]);
    expect(await outcome({ target: "mod", key, equals: revision - 1 })).toEqual([false, [1]]);
    expect(await outcome({ target: "lease", key, equals: lease })).toEqual([true, [1, 1]]);
    expect(await outcome({ target: "lease", key, equals: lease - 1n })).toEqual([false, [1]]);
    await write({ type: "delete", key });
    expect((await transport.range({ key })).kvs).toEqual([]);
  });

  it("revokes a lease with its keys, and tells a lease that is gone", async () => {
    const lease = await grant();
    await write(put("/revoke/a", "1", lease));
    await transport.revoke(lease);
    expect((await transport.range(prefix("revoke"))).count).toBe(0);
    await expect(transport.revoke(lease)).rejects.toMatchObject({ code: "SD_LEASE_LOST" });
    await expect(write(put("/revoke/a", "1", lease))).rejects.toMatchObject({ code: "SD_LEASE_LOST" });
  });

  it("renews many leases on one stream, and says 0 for one that is gone", async () => {
    const lease = await grant();
    const answers: [bigint, number][] = [];
    const stream = await transport.keepAlive({
      onMessage: ({ id, ttlSeconds }) => answers.push([id, ttlSeconds]),
      onEnd: (error) => expect.unreachable(String(error)),
    });
    expect(stream.endpoint).toBe(etcd.endpoint);
    stream.send({ id: lease });
    stream.send({ id: leaseId(12_345n) });
    await eventually(() => answers.length === 2);
    stream.cancel();
    expect(answers).toEqual([
      [lease, 60],
      [12_345n, 0],
    ]);
  });

  it("delivers a history of more than one batch, in order and whole", async () => {
    const lease = await grant();
    const first = await write(put("/history/a", "0", lease));
    const writes = Array.from({ length: 2_499 }, (_, n) => `${n + 1}`);
    for (let at = 0; at < writes.length; at += 50) {
      await Promise.all(writes.slice(at, at + 50).map((value) => write(put("/history/a", value, lease))));
    }
    const messages: WatchResponse[] = [];
    const stream = await transport.watch({
      onMessage: (message) => messages.push(message),
      onEnd: (error) => expect.unreachable(String(error)),
    });
    stream.send({ type: "create", watchId: 7, ...prefix("history"), startRevision: first });
    const events = () => messages.flatMap((message) => message.events);
    await eventually(() => events().length === 2_500);
    stream.cancel();
    expect(messages[0]).toMatchObject({ created: true, watchId: 7 });
    expect(messages.filter((message) => message.events.length > 0).length).toBeGreaterThan(1);
    expect(events().map(({ kv }) => kv.modRevision)).toEqual(
      Array.from({ length: 2_500 }, (_, n) => first + n),
    );
  });

  it("answers a progress request once the store is there, and a delete with its key and revision only", async () => {
    const lease = await grant();
    const first = await write(put("/quiet/a", "1", lease));
    const messages: WatchResponse[] = [];
    const stream = await transport.watch({ onMessage: (m) => messages.push(m), onEnd: () => {} });
    stream.send({ type: "create", watchId: 1, ...prefix("quiet"), startRevision: first + 1 });
    await eventually(() => messages.length === 1);
    // etcd 3.5.30 does not answer while the first revision of a watch is still to come.
    const other = await write(put("/loud/a", "1", await grant()));
    stream.send({ type: "progress" });
    await eventually(() => messages.length === 2);
    expect(messages[1]).toMatchObject({ watchId: -1, events: [], header: { revision: other } });
    await transport.revoke(lease);
    await eventually(() => messages.length === 3);
    stream.cancel();
    const [event] = messages[2]?.events ?? [];
    expect(event).toMatchObject({ type: "delete", kv: { modRevision: other + 1, lease: 0n, version: 0 } });
    expect(text(event?.kv.key)).toBe("/quiet/a");
  });

  it("tells a compacted revision, in a list and in a watch (D7)", async () => {
    const lease = await grant();
    const first = await write(put("/compact/a", "1", lease));
    const last = await write(put("/compact/a", "2", lease));
    await etcd.compact(last);
    const list = transport.range({ ...prefix("compact"), revision: first });
    await expect(list).rejects.toMatchObject({ code: "SD_COMPACTED" });
    const ahead = await transport.range({ key: bytes("a"), revision: 1_000_000 }).catch((e: unknown) => e);
    expect(failureOf(ahead)).toBe("future-revision");
    const messages: WatchResponse[] = [];
    const stream = await transport.watch({ onMessage: (m) => messages.push(m), onEnd: () => {} });
    stream.send({ type: "create", watchId: 3, ...prefix("compact"), startRevision: first });
    await eventually(() => messages.some(({ canceled }) => canceled));
    stream.cancel();
    expect(messages.at(-1)).toMatchObject({ canceled: true, compactRevision: last, watchId: 3 });
  });

  it("refuses an answer above maxReceiveBytes as too large", async () => {
    const lease = await grant();
    await write(put("/large/a", "x".repeat(5_000), lease));
    const narrow = createEtcd3Transport({ endpoints: etcd.endpoint, maxReceiveBytes: 4_000 });
    const error = await narrow.range(prefix("large")).catch((reason: unknown) => reason);
    await narrow.close();
    expect(failureOf(error)).toBe("too-large");
  });

  it("rejects with the reason of the signal", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const call = transport.range(prefix("list"), { signal: controller.signal });
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    await expect(
      transport.watch({ onMessage: () => {}, onEnd: () => {} }, { signal: controller.signal }),
    ).rejects.toBe(reason);
  });

  it("ends everything on close, and leaves no socket and no timer", async () => {
    using leaks = leakCheck();
    const own = createEtcd3Transport({ endpoints: etcd.endpoint });
    const ends: unknown[] = [];
    const handlers = { onMessage: () => {}, onEnd: (error: unknown) => ends.push(error) };
    await Promise.all([own.watch(handlers), own.keepAlive(handlers), own.range(prefix("list"))]);
    const pending = own.range(prefix("list"));
    const closing = own.close();
    expect(own.close()).toBe(closing);
    await expect(pending).rejects.toMatchObject({ code: "SD_CLOSED" });
    await closing;
    const closed = expect.objectContaining({ code: "SD_CLOSED" });
    expect(ends).toEqual([closed, closed]);
    await expect(own.watch(handlers)).rejects.toEqual(closed);
    await leaks.assertClean();
  });
});
