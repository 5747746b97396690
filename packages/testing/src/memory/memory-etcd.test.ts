import {
  type EtcdTransport,
  failureOf,
  isNotApplied,
  type KeepAliveResponse,
  type Operation,
  SdError,
  type TxnRequest,
} from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import { leaseId } from "./lease-id.js";
import { MemoryEtcd, type MemoryEtcdOptions } from "./memory-etcd.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
const put = (key: string, value: string, lease: bigint): Operation => ({
  type: "put",
  key: bytes(key),
  value: bytes(value),
  lease: leaseId(lease),
});
const txn = (...success: Operation[]): TxnRequest => ({ compare: [], success, failure: [] });

let clock: ManualClock;
let etcd: MemoryEtcd;
let client: EtcdTransport;

beforeEach(() => {
  clock = new ManualClock();
  etcd = new MemoryEtcd({ clock });
  client = etcd.transport();
  return async () => {
    await etcd.close();
    expect(clock.pending).toBe(0);
    expect(etcd.openStreams).toBe(0);
  };
});

const kindOf = (work: Promise<unknown>) => work.then(() => "no error", failureOf);

describe("MemoryEtcd: reading", () => {
  it("begins at revision 1 and counts a revision for each write", async () => {
    const { header, count } = await client.range({ key: bytes("/web/a") });
    expect([header.revision, count]).toEqual([1, 0]);
    expect(etcd.put("/web/a", "1")).toBe(2);
    expect(etcd.delete("/web/nothing")).toBe(2);
    etcd.put("/web/a", "2");
    const { kvs } = await client.range({ key: bytes("/web/a") });
    expect(kvs).toEqual([
      { key: bytes("/web/a"), value: bytes("2"), createRevision: 2, modRevision: 3, version: 2, lease: 0n },
    ]);
    etcd.delete("/web/a");
    etcd.put("/web/a", "3");
    expect(etcd.get("/web/a")).toMatchObject({ createRevision: 5, modRevision: 5, version: 1 });
  });

  it("pages a prefix in the order of the bytes, with `more` and the whole count", async () => {
    for (const key of ["/b", "/a/2", "/a/10", "/a/1", "/a0"]) etcd.put(key, key);
    etcd.put(Uint8Array.of(0x2f, 0x61, 0x2f, 0xff), "not utf-8");
    const prefix = { key: bytes("/a/"), rangeEnd: bytes("/a0") };
    const page = await client.range({ ...prefix, limit: 2, keysOnly: true });
    expect(page.kvs.map(({ key }) => text(key))).toEqual(["/a/1", "/a/10"]);
    expect(page.kvs.every(({ value }) => value.length === 0)).toBe(true);
    expect(page).toMatchObject({ more: true, count: 4 });
    expect(await client.range({ ...prefix, limit: 4 })).toMatchObject({ more: false, count: 4 });
    expect(await client.range({ ...prefix, countOnly: true, limit: 1 })).toMatchObject({
      kvs: [],
      more: false,
      count: 4,
    });
    expect(await client.range({ key: bytes("/a0"), rangeEnd: Uint8Array.of(0) })).toMatchObject({ count: 2 });
  });

  it("reads the past until it is compacted, and not the future", async () => {
    etcd.put("/a", "1");
    etcd.put("/a", "2");
    etcd.delete("/a");
    etcd.put("/b", "1");
    const read = async (revision: number) =>
      (await client.range({ key: bytes("/a"), revision })).kvs.map(({ value }) => text(value));
    expect([await read(2), await read(3), await read(4)]).toEqual([["1"], ["2"], []]);
    etcd.compact(3);
    expect(await read(3)).toEqual(["2"]);
    expect(await kindOf(read(2))).toBe("compacted");
    expect(await kindOf(read(6))).toBe("future-revision");
    expect(() => etcd.compact(3)).toThrow("required revision has been compacted");
    expect(() => etcd.compact(6)).toThrow("future revision");
    etcd.compact(5);
    expect(await read(5)).toEqual([]);
    expect(etcd.get("/b")).toBeDefined();
    expect(etcd.events).toHaveLength(4);
  });
});

describe("MemoryEtcd: transactions", () => {
  it("runs the branch that the comparisons choose, as one revision, seeing its own writes", async () => {
    await client.grant({ id: leaseId(7n), ttlSeconds: 5 });
    const request: TxnRequest = {
      compare: [
        { target: "create", key: bytes("/a"), equals: 0 },
        { target: "mod", key: bytes("/a"), equals: 0 },
        { target: "lease", key: bytes("/a"), equals: 0n },
      ],
      success: [put("/a", "1", 7n), put("/b", "1", 7n), { type: "range", range: { key: bytes("/a") } }],
      failure: [
        { type: "range", range: { key: bytes("/a") } },
        { type: "delete", key: bytes("/b") },
      ],
    };
    const first = await client.txn(request);
    expect(first).toMatchObject({ succeeded: true, header: { revision: 2 } });
    expect(first.ranges).toMatchObject([{ header: { revision: 2, clusterId: 0n }, count: 1 }]);
    const second = await client.txn(request);
    expect(second).toMatchObject({ succeeded: false, header: { revision: 3 } });
    expect(second.ranges).toMatchObject([{ header: { revision: 2 }, kvs: [{ modRevision: 2, lease: 7n }] }]);
    expect(etcd.get("/b")).toBeUndefined();
  });

  it("refuses what etcd refuses, and changes nothing then", async () => {
    const a = put("/a", "1", 9n);
    expect(await kindOf(client.txn(txn(a)))).toBe("lease-not-found");
    await client.grant({ id: leaseId(9n), ttlSeconds: 5 });
    expect(await kindOf(client.txn(txn(a, a)))).toBe("invalid");
    expect(await kindOf(client.txn(txn(a, { type: "delete", key: bytes("/a") })))).toBe("invalid");
    expect(await kindOf(client.txn(txn(put("", "", 9n))))).toBe("invalid");
    expect(
      await kindOf(client.txn(txn(...Array.from({ length: 129 }, (_, n) => put(`/${n}`, "", 9n))))),
    ).toBe("invalid");
    const future: Operation = { type: "range", range: { key: bytes("/a"), revision: 99 } };
    expect(await kindOf(client.txn(txn(a, future)))).toBe("future-revision");
    expect(etcd.revision).toBe(1);
  });
});

describe("MemoryEtcd: leases", () => {
  it("raises a short TTL, refuses a taken id, and says so in etcd's words", async () => {
    expect(await client.grant({ id: leaseId(1n), ttlSeconds: 1 })).toMatchObject({ id: 1n, ttlSeconds: 2 });
    const taken = await client.grant({ id: leaseId(1n), ttlSeconds: 5 }).catch((error: unknown) => error);
    expect(failureOf(taken)).toBe("lease-exists");
    expect(isNotApplied(taken)).toBe(true);
    expect((taken as SdError).message).toContain("etcdserver: lease already exists");
    expect(await kindOf(client.revoke(leaseId(2n)))).toBe("lease-not-found");
  });

  it("deletes the keys of an ended lease as one revision, and not those that have left it", async () => {
    await client.grant({ id: leaseId(1n), ttlSeconds: 5 });
    await client.grant({ id: leaseId(2n), ttlSeconds: 9 });
    await client.txn(txn(put("/b", "", 1n), put("/a", "", 1n), put("/c", "", 1n), put("/d", "", 1n)));
    await client.txn(txn(put("/c", "", 2n), { type: "delete", key: bytes("/d") }));
    etcd.put("/d", "without lease");
    await clock.advance(4_999);
    expect(etcd.leases).toEqual([1n, 2n]);
    await clock.advance(1);
    expect(etcd.leases).toEqual([2n]);
    expect(etcd.revision).toBe(5);
    expect(etcd.events.slice(-2).map(({ type, kv }) => [type, text(kv.key), kv.modRevision])).toEqual([
      ["delete", "/a", 5],
      ["delete", "/b", 5],
    ]);
    await client.revoke(leaseId(2n));
    expect(etcd.get("/c")).toBeUndefined();
    expect(etcd.get("/d")).toBeDefined();
  });

  it("renews over a stream, and answers TTL 0 for a lease that is gone", async () => {
    const answers: KeepAliveResponse[] = [];
    const stream = await client.keepAlive({
      onMessage: (message) => answers.push(message),
      onEnd: () => expect.unreachable(),
    });
    await client.grant({ id: leaseId(1n), ttlSeconds: 5 });
    for (let round = 0; round < 3; round += 1) {
      await clock.advance(4_000);
      stream.send({ id: leaseId(1n) });
    }
    await clock.settle();
    expect(answers.map(({ ttlSeconds }) => ttlSeconds)).toEqual([5, 5, 5]);
    etcd.dropNextRequest("renew");
    stream.send({ id: leaseId(1n) });
    await clock.advance(5_000);
    stream.send({ id: leaseId(1n) });
    await clock.settle();
    expect(answers.map(({ id, ttlSeconds }) => [id, ttlSeconds]).slice(3)).toEqual([[1n, 0]]);
    expect(etcd.callsOf("renew")).toHaveLength(5);
    stream.cancel({ suspect: true });
    stream.send({ id: leaseId(1n) });
    expect(etcd.callsOf("cancel").map(({ request }) => request)).toEqual([
      { stream: "keepAlive", suspect: true },
    ]);
  });
});

describe("MemoryEtcd: faults", () => {
  it("refuses new calls and streams, but keeps open streams", async () => {
    const stream = await client.keepAlive({ onMessage: () => {}, onEnd: () => expect.unreachable() });
    etcd.refuse();
    expect(await kindOf(client.range({ key: bytes("/a") }))).toBe("network");
    expect(await kindOf(client.keepAlive({ onMessage: () => {}, onEnd: () => {} }))).toBe("network");
    expect(etcd.openStreams).toBe(1);
    etcd.accept();
    await client.range({ key: bytes("/a") });
    expect(etcd.callsOf("range")).toHaveLength(2);
    stream.cancel();
  });

  it("cuts streams and waiting calls", async () => {
    const ends: unknown[] = [];
    await client.keepAlive({ onMessage: () => {}, onEnd: (error) => ends.push(failureOf(error)) });
    etcd.freeze();
    const waiting = kindOf(client.grant({ id: leaseId(1n), ttlSeconds: 5 }));
    await clock.settle();
    etcd.cut();
    expect(await waiting).toBe("network");
    expect(ends).toEqual(["network"]);
    etcd.thaw();
    await clock.settle();
    expect(etcd.leases).toEqual([]);
  });

  it("freezes: nothing is answered, calls time out, and what was asked is done after the thaw", async () => {
    await client.grant({ id: leaseId(1n), ttlSeconds: 5 });
    etcd.freeze();
    const late = kindOf(client.txn(txn(put("/late", "", 1n)), { timeoutMs: 3_000 }));
    await clock.advance(3_000);
    expect(await late).toBe("timeout");
    expect(etcd.get("/late")).toBeUndefined();
    etcd.thaw();
    await clock.settle();
    expect(etcd.get("/late")).toBeDefined();
    etcd.freeze();
    await clock.advance(6_000);
    expect(etcd.leases).toEqual([1n]);
    const gone = kindOf(client.txn(txn(put("/gone", "", 1n))));
    etcd.thaw();
    expect(etcd.get("/late")).toBeUndefined();
    expect(await gone).toBe("lease-not-found");
  });

  it("loses an answer after the write, or drops a request before it", async () => {
    etcd.loseNextAnswer("grant");
    expect(await kindOf(client.grant({ id: leaseId(1n), ttlSeconds: 5 }))).toBe("network");
    expect(etcd.leases).toEqual([1n]);
    etcd.dropNextRequest("txn");
    expect(await kindOf(client.txn(txn(put("/a", "", 1n))))).toBe("network");
    expect(etcd.revision).toBe(1);
    await client.txn(txn(put("/a", "", 1n)));
    expect(etcd.calls.map(({ verb }) => verb)).toEqual(["grant", "txn", "txn"]);
  });

  it("dies and comes back with its leases renewed", async () => {
    await client.grant({ id: leaseId(1n), ttlSeconds: 5 });
    await clock.advance(4_000);
    etcd.kill();
    await clock.advance(60_000);
    expect(await kindOf(client.range({ key: bytes("/a") }))).toBe("network");
    etcd.restart();
    await clock.advance(4_999);
    expect(etcd.leases).toEqual([1n]);
    await clock.advance(1);
    expect(etcd.leases).toEqual([]);
  });

  it("is wiped: revision 1 again, the same cluster unless told otherwise", async () => {
    await client.grant({ id: leaseId(1n), ttlSeconds: 5 });
    etcd.put("/a", "1", { lease: 1n });
    const before = await client.range({ key: bytes("/a") });
    etcd.wipe();
    const after = await client.range({ key: bytes("/a") });
    expect(after.header).toEqual({ ...before.header, revision: 1 });
    expect([after.count, etcd.leases, etcd.events]).toEqual([0, [], []]);
    etcd.wipe({ newCluster: true });
    expect((await client.range({ key: bytes("/a") })).header.clusterId).not.toBe(before.header.clusterId);
  });

  it("obeys the caller's signal, and rejects everything once closed", async () => {
    const controller = new AbortController();
    etcd.freeze();
    const waiting = client.range({ key: bytes("/a") }, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    const opening = client.watch(
      { onMessage: () => {}, onEnd: () => expect.unreachable() },
      { signal: AbortSignal.abort(new Error("too late")) },
    );
    await expect(opening).rejects.toThrow("too late");
    const pending = client.range({ key: bytes("/a") }).catch((error: unknown) => error);
    await client.close();
    await client.close();
    expect(SdError.is(await pending, "SD_CLOSED")).toBe(true);
    const late = await client.range({ key: bytes("/a") }).catch((error: unknown) => error);
    expect(SdError.is(late, "SD_CLOSED")).toBe(true);
    expect(clock.pending).toBe(0);
  });
});

describe("MemoryEtcd with retainedChanges", () => {
  it("keeps at least as many changes, at most twice as many, and all keys", async () => {
    await using small = new MemoryEtcd({ clock, retainedChanges: 100 });
    for (let index = 0; index < 1_000; index += 1) {
      const revision = small.put(`/${index % 7}`, String(index));
      const oldest = Math.max(2, revision - 99);
      expect(() => small.range({ key: bytes("/1"), revision: oldest })).not.toThrow();
      expect(small.events.length).toBeLessThan(200);
    }
    expect(small.range({ key: bytes("/"), rangeEnd: bytes("0"), countOnly: true }).count).toBe(7);
    expect(() => small.range({ key: bytes("/1"), revision: 700 })).toThrow("compacted");
  });

  it("keeps the changes of one revision together", async () => {
    await using small = new MemoryEtcd({ clock, retainedChanges: 10 });
    const values = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`/${index}`, "x"]));
    for (let round = 0; round < 5; round += 1) small.write(values);
    expect(small.events.map(({ kv }) => kv.modRevision)).toEqual(Array(30).fill(6));
  });

  it("drops what a client has compacted, and begins anew when it is wiped", async () => {
    await using small = new MemoryEtcd({ clock, retainedChanges: 100 });
    for (let index = 0; index < 5; index += 1) small.put("/a", String(index));
    small.compact(4);
    expect(small.events.map(({ kv }) => kv.modRevision)).toEqual([4, 5, 6]);
    small.wipe();
    for (let index = 0; index < 300; index += 1) small.put("/a", String(index));
    expect(small.events.length).toBeLessThan(200);
  });

  it.each([0, -1, 1.5, Number.NaN])("refuses %d", (retainedChanges) => {
    expect(() => new MemoryEtcd({ retainedChanges })).toThrow(
      "retainedChanges must be a whole number of at least 1",
    );
  });
});

describe("a MemoryEtcd that was killed", () => {
  it("lets leases expire again, whichever way it comes back", async () => {
    await client.grant({ id: leaseId(1n), ttlSeconds: 5 });
    etcd.kill();
    await clock.advance(6_000);
    expect(etcd.leases).toEqual([1n]);
    etcd.accept();
    expect(etcd.leases).toEqual([]);
    await client.grant({ id: leaseId(2n), ttlSeconds: 5 });
    etcd.kill();
    await clock.advance(6_000);
    etcd.restart();
    await clock.advance(4_999);
    expect(etcd.leases).toEqual([2n]);
    await clock.advance(1);
    expect(etcd.leases).toEqual([]);
  });
});

describe("the options of a MemoryEtcd", () => {
  it.each<[MemoryEtcdOptions, string]>([
    [{ version: "3.6.0" as never }, 'version must be 3.4.23 or 3.5.16 or 3.5.30, got "3.6.0"'],
    [{ minTtlSeconds: -1 }, "minTtlSeconds must be a number from 0, got -1"],
    [{ catchUpDelayMs: Number.NaN }, "catchUpDelayMs must be a number from 0 to 2147483647, got NaN"],
    [{ progressIntervalMs: 0 }, "progressIntervalMs must be a number from 1 to 2147483647, got 0"],
    [null as never, "the options of a MemoryEtcd must be an object, got null"],
  ])("%j are refused", (options, message) => {
    expect(() => new MemoryEtcd(options)).toThrow(message);
  });
});

describe("a MemoryEtcd that is closed", () => {
  it("takes no new clients", async () => {
    const other = new MemoryEtcd({ clock });
    const early = other.transport();
    await Promise.all([other.close(), other.close()]);
    await expect(early.range({ key: bytes("/a") })).rejects.toMatchObject({ code: "SD_CLOSED" });
    expect(() => other.transport()).toThrow("this MemoryEtcd is closed");
  });
});
