import type { KeyValue } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import { AlarmAction, AlarmType } from "./api/cluster.js";
import { type RangeRequest, SortOrder, SortTarget } from "./api/kv.js";
import { behaviours } from "./behaviour.js";
import { MemoryServer } from "./memory-server.js";
import { bytes, compare, deletion, NO_END, put, range, text, txn } from "./requests.fixture.js";

let clock: ManualClock;
let server: MemoryServer;

beforeEach(() => {
  clock = new ManualClock();
  server = new MemoryServer({ clock });
  return () => {
    server.leases.clear();
    expect(clock.pending).toBe(0);
  };
});

const write = (...pairs: [string, string][]) => {
  for (const [key, value] of pairs) server.put(put(key, value));
};
const names = (kvs: readonly KeyValue[]) => kvs.map(({ key }) => text(key)).join(" ");
const keys = (request: Partial<RangeRequest>) =>
  names(server.range(range({ key: "s/", rangeEnd: "s0", ...request })).kvs);

describe("MemoryServer: Range", () => {
  beforeEach(() => write(["s/1", "c"], ["s/2", "a"], ["s/3", "b"], ["s/2", "a"]));

  it("sorts by each target, both ways, before it limits", () => {
    const { key, version, create, mod, value } = SortTarget;
    const { ascend, descend } = SortOrder;
    expect(keys({ sortTarget: value, sortOrder: ascend })).toBe("s/2 s/3 s/1");
    expect(keys({ sortTarget: value, sortOrder: descend, keysOnly: true })).toBe("s/1 s/3 s/2");
    expect(keys({ sortTarget: mod, sortOrder: descend, limit: 1 })).toBe("s/2");
    expect(keys({ sortTarget: create, sortOrder: descend })).toBe("s/3 s/2 s/1");
    expect(keys({ sortTarget: version, sortOrder: descend, limit: 2 })).toBe("s/2 s/1");
    expect(keys({ sortTarget: key, sortOrder: descend })).toBe("s/3 s/2 s/1");
  });

  it("sorts upwards if only a target is given, but then only what the limit has let through", () => {
    expect(keys({ sortTarget: SortTarget.value })).toBe("s/2 s/3 s/1");
    expect(keys({ sortTarget: SortTarget.value, limit: 1 })).toBe("s/2");
    write(["s/4", "0"]);
    expect(keys({ sortTarget: SortTarget.value, limit: 1 })).toBe("s/2");
    expect(keys({ sortTarget: SortTarget.value, sortOrder: SortOrder.ascend, limit: 1 })).toBe("s/4");
    expect(keys({ sortTarget: SortTarget.value, sortOrder: 7 })).toBe("s/1 s/2 s/3 s/4");
  });

  it("bounds by revisions, while the count is of the whole range", () => {
    const wide = { key: "s/", rangeEnd: "s0" };
    expect(keys({ minModRevision: 4 })).toBe("s/2 s/3");
    expect(keys({ maxModRevision: 4 })).toBe("s/1 s/3");
    expect(keys({ minCreateRevision: 3, maxCreateRevision: 3 })).toBe("s/2");
    const page = server.range(range({ ...wide, minModRevision: 4, limit: 1 }));
    expect([names(page.kvs), page.more, page.count]).toEqual(["s/2", true, 3]);
    expect(server.range(range({ ...wide, countOnly: true, limit: 1 }))).toMatchObject({
      kvs: [],
      more: false,
      count: 3,
    });
    expect(keys({ limit: -1 })).toBe("s/1 s/2 s/3");
  });

  it("refuses no key, and takes a revision below 0 for now", () => {
    expect(() => server.range(range())).toThrow("key is not provided");
    expect(() => server.range(range({ key: "a", sortTarget: 5 }))).toThrow("invalid sort option");
    expect(keys({ revision: -3 })).toBe("s/1 s/2 s/3");
    const inTxn = txn({ success: [{ range: range({ key: "a", revision: -3 }) }] });
    expect(() => server.txn(inTxn)).toThrow("has been compacted");
  });
});

describe("MemoryServer: Put and DeleteRange", () => {
  it("answers with what was there before", () => {
    expect(server.put(put("a", "1", { prevKv: true })).prevKv).toBeUndefined();
    const { prevKv, header } = server.put(put("a", "2", { prevKv: true }));
    expect([header.revision, prevKv?.modRevision, text(prevKv?.value ?? bytes("?"))]).toEqual([3, 2, "1"]);
    write(["b", ""]);
    const { deleted, prevKvs } = server.deleteRange(deletion("a", NO_END, true));
    expect([deleted, names(prevKvs)]).toEqual([2, "a b"]);
    expect(server.deleteRange(deletion("a"))).toMatchObject({ deleted: 0, header: { revision: 5 } });
  });

  it("keeps value or lease if told, and refuses it without a key that has them", () => {
    server.grant({ id: 1n, ttl: 5 });
    server.put(put("a", "1", { lease: 1n }));
    server.put(put("a", "", { ignoreValue: true }));
    expect(server.get("a")).toMatchObject({ value: bytes("1"), lease: 0n, version: 2 });
    server.put(put("a", "2", { lease: 1n }));
    server.put(put("a", "3", { ignoreLease: true }));
    expect(server.get("a")).toMatchObject({ value: bytes("3"), lease: 1n });
    expect(() => server.put(put("a", "1", { ignoreValue: true }))).toThrow("value is provided");
    expect(() => server.put(put("a", "", { lease: 1n, ignoreLease: true }))).toThrow("lease is provided");
    expect(() => server.put(put("b", "", { ignoreLease: true }))).toThrow("key not found");
    expect(() => server.put(put("b", "", { lease: 9n, ignoreValue: true }))).toThrow("lease not found");
    const inTxn = txn({ success: [{ put: put("b", "", { lease: 9n, ignoreValue: true }) }] });
    expect(() => server.txn(inTxn)).toThrow("key not found");
  });
});

describe("MemoryServer: Txn", () => {
  const succeeds = (...compares: ReturnType<typeof compare>[]) =>
    server.txn(txn({ compare: compares })).succeeded;

  it("compares all targets by all operators", () => {
    server.grant({ id: 7n, ttl: 5 });
    server.put(put("a", "1"));
    server.put(put("a", "2", { lease: 7n }));
    expect(succeeds(compare("a", "version", "equal", { version: 2 }))).toBe(true);
    expect(succeeds(compare("a", "version", "less", { version: 3 }))).toBe(true);
    expect(succeeds(compare("a", "create", "greater", { createRevision: 2 }))).toBe(false);
    expect(succeeds(compare("a", "mod", "notEqual", { modRevision: 2 }))).toBe(true);
    expect(succeeds(compare("a", "value", "greater", { value: "1" }))).toBe(true);
    expect(succeeds(compare("a", "lease", "equal", { lease: 7n }))).toBe(true);
    expect(succeeds(compare("a", "lease", "less", { lease: 7n }))).toBe(false);
    expect(succeeds({ ...compare("a", "version"), target: 9 })).toBe(true);
    expect(succeeds({ ...compare("a", "version"), result: 9 })).toBe(true);
  });

  it("takes a missing key for zeros, but no value of it for anything", () => {
    expect(succeeds(compare("none", "version"))).toBe(true);
    expect(succeeds(compare("none", "value", "notEqual", { value: "x" }))).toBe(false);
    expect(succeeds(compare("none", "value", "equal", { value: "" }))).toBe(false);
  });

  it("compares every key of a range", () => {
    write(["r/1", "x"], ["r/2", "x"]);
    const all = { rangeEnd: "r0" };
    expect(succeeds(compare("r/", "value", "equal", { ...all, value: "x" }))).toBe(true);
    expect(succeeds(compare("r/", "mod", "greater", { ...all, modRevision: 2 }))).toBe(false);
    expect(succeeds(compare("r/", "mod", "greater", { rangeEnd: NO_END, modRevision: 1 }))).toBe(true);
  });

  it("runs inner transactions, whose conditions see nothing of the outer one's writes", () => {
    const inner = txn({
      compare: [compare("a", "version", "equal", { version: 0 })],
      success: [{ put: put("b") }, { range: range({ key: "a", rangeEnd: "z" }) }],
      failure: [{ put: put("c") }],
    });
    const answer = server.txn(
      txn({ success: [{ put: put("a") }, { txn: inner }, { deleteRange: deletion("x") }] }),
    );
    expect(answer).toMatchObject({
      header: { revision: 2 },
      responses: [
        { put: { header: { revision: 2, clusterId: 0n } } },
        {
          txn: {
            header: { revision: 0 },
            succeeded: true,
            responses: [{ put: {} }, { range: { count: 2, header: { revision: 2 } } }],
          },
        },
        { deleteRange: { deleted: 0 } },
      ],
    });
    expect([...server.store.log.all].map(({ kv }) => text(kv.key))).toEqual(["a", "b"]);
  });

  it("refuses keys that are written twice, by puts, deletions and inner transactions", () => {
    const twice = "duplicate key given";
    const a = { put: put("a") };
    expect(() => server.txn(txn({ success: [a, a] }))).toThrow(twice);
    expect(() => server.txn(txn({ failure: [a, { deleteRange: deletion("a", "b") }] }))).toThrow(twice);
    expect(() => server.txn(txn({ success: [{ txn: txn({ success: [a] }) }, a] }))).toThrow(twice);
    const innerDelete = { txn: txn({ failure: [{ deleteRange: deletion("a") }] }) };
    expect(() => server.txn(txn({ success: [innerDelete, a] }))).toThrow(twice);
    expect(server.store.revision).toBe(1);
    server.txn(txn({ success: [{ txn: txn({ success: [a], failure: [a] }) }] }));
    server.txn(txn({ success: [{ deleteRange: deletion("a", NO_END) }, a] }));
    expect(server.get("a")).toMatchObject({ createRevision: 3 });
  });

  it("counts the operations of inner transactions against what the outer one leaves", () => {
    const many = (length: number) =>
      txn({ success: Array.from({ length }, (_, n) => ({ range: range({ key: `${n + 1}` }) })) });
    expect(() => server.txn(many(129))).toThrow("too many operations");
    expect(() => server.txn(txn({ success: [{ txn: many(128) }] }))).toThrow("too many operations");
    server.txn(txn({ success: [{ txn: many(127) }] }));
    expect(() => server.txn(txn({ success: [{}] }))).toThrow("key not found");
    expect(() => server.txn(txn({ compare: [compare("", "mod")] }))).toThrow("key is not provided");
  });
});

describe("MemoryServer: a transaction that fails on its way, where etcd panics", () => {
  it("leaves nothing behind, in the store or with the leases", () => {
    server.grant({ id: 1n, ttl: 5 });
    server.put(put("a", "1", { lease: 1n }));
    const success = [
      { put: put("new", "", { lease: 1n }) },
      { deleteRange: deletion("a", NO_END) },
      { put: put("a", "", { ignoreValue: true }) },
    ];
    expect(() => server.txn(txn({ success }))).toThrow("key not found");
    expect(server.store.revision).toBe(2);
    expect(server.range(range({ key: "a", rangeEnd: NO_END }))).toMatchObject({ count: 1 });
    expect(server.put(put("b")).header.revision).toBe(3);
    expect(server.timeToLive({ id: 1n, keys: true }).keys).toEqual([bytes("a")]);
    expect(server.get("a")).toMatchObject({ version: 1, lease: 1n });
  });
});

describe("MemoryServer: Compact", () => {
  it("takes 0 once, as etcd does, and never what is compacted or to come", () => {
    const compact = (revision: number) => server.compact({ revision, physical: true }).header.revision;
    expect(compact(0)).toBe(1);
    expect(() => compact(0)).toThrow("has been compacted");
    expect(() => compact(-1)).toThrow("has been compacted");
    expect(() => compact(2)).toThrow("future revision");
  });
});

describe("MemoryServer: leases", () => {
  it("tells what is left, and the keys; -1 for a lease that is not", async () => {
    server.grant({ id: 1n, ttl: 10 });
    write(["free", ""]);
    for (const key of ["b", "a"]) server.put(put(key, "", { lease: 1n }));
    await clock.advance(3_500);
    expect(server.timeToLive({ id: 1n, keys: true })).toMatchObject({
      id: 1n,
      ttl: 6,
      grantedTtl: 10,
      keys: [bytes("a"), bytes("b")],
    });
    expect(server.timeToLive({ id: 1n, keys: false }).keys).toEqual([]);
    expect(server.timeToLive({ id: 2n, keys: true })).toMatchObject({ id: 2n, ttl: -1, grantedTtl: 0 });
  });

  it("chooses ids that fit no number, takes negative ones, and lists those first that end first", () => {
    const { id } = server.grant({ id: 0n, ttl: 100 });
    expect(BigInt(Number(id))).not.toBe(id);
    expect(server.grant({ id: -7n, ttl: -5 }).ttl).toBe(2);
    expect(server.grant({ id: 0n, ttl: 50 }).id).not.toBe(id);
    expect(server.listLeases().leases.map((lease) => lease.id)).toEqual([-7n, id + 1n, id]);
    expect(() => server.grant({ id: 0n, ttl: 9_000_000_001 })).toThrow("too large lease TTL");
  });
});

describe("MemoryServer: alarms", () => {
  const noSpace = { memberId: 5n, alarm: AlarmType.noSpace };

  it("refuses puts and grants while the space is out, and nothing else", () => {
    server.grant({ id: 1n, ttl: 5 });
    write(["a", "1"]);
    expect(server.alarm({ action: AlarmAction.activate, ...noSpace }).alarms).toEqual([noSpace]);
    const full = "database space exceeded";
    expect(() => server.put(put("a", "", { lease: 99n }))).toThrow(full);
    expect(() => server.grant({ id: 0n, ttl: 9_000_000_001 })).toThrow(full);
    expect(() => server.txn(txn({ failure: [{ put: put("a") }] }))).toThrow(full);
    server.txn(txn({ success: [{ txn: txn({ success: [{ put: put("inner") }] }) }] }));
    expect(server.deleteRange(deletion("a")).deleted).toBe(1);
    expect(server.renew({ id: 1n }).ttl).toBe(5);
    expect(server.status().errors).toEqual(["memberID:5 alarm:NOSPACE "]);
    expect(server.alarm({ action: AlarmAction.deactivate, ...noSpace, memberId: 6n }).alarms).toEqual([]);
    expect(server.alarm({ action: AlarmAction.deactivate, ...noSpace }).alarms).toEqual([noSpace]);
    write(["a", "2"]);
    expect(server.alarm({ action: AlarmAction.get, memberId: 0n, alarm: AlarmType.none }).alarms).toEqual([]);
  });

  it("can raise none, in 3.4 only", () => {
    const raise = { action: AlarmAction.activate, memberId: 5n, alarm: AlarmType.none };
    expect(server.alarm(raise).alarms).toEqual([]);
    server.behave(behaviours["3.4.23"]);
    expect(server.alarm(raise)).toMatchObject({ alarms: [{ memberId: 5n }], header: { memberId: 0n } });
    expect(server.status()).toMatchObject({ errors: ["memberID:5 "], version: "3.4.23" });
  });
});
