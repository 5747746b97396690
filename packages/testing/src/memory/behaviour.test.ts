import { type EtcdTransport, failureOf, type KeepAliveResponse, type WatchResponse } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import type { Behaviour } from "./behaviour.js";
import { leaseId } from "./lease-id.js";
import { MemoryEtcd } from "./memory-etcd.js";
import { bytes, text } from "./requests.fixture.js";

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
  };
});

/** What a watch of everything is told, from `startRevision` on. */
async function watched(startRevision: number): Promise<string[]> {
  const messages: WatchResponse[] = [];
  const stream = await client.watch({ onMessage: (message) => messages.push(message), onEnd: () => {} });
  stream.send({ type: "create", watchId: 1, key: bytes("/"), rangeEnd: bytes("0"), startRevision });
  await clock.settle();
  stream.cancel();
  return messages
    .flatMap(({ events }) => events)
    .map(({ type, kv }) => `${type} ${text(kv.key)}@${kv.modRevision}`);
}

/** The TTL with which a renewal is answered. */
async function renewed(id: bigint): Promise<number | undefined> {
  const answers: KeepAliveResponse[] = [];
  const stream = await client.keepAlive({ onMessage: (answer) => answers.push(answer), onEnd: () => {} });
  stream.send({ id: leaseId(id) });
  await clock.settle();
  stream.cancel();
  return answers[0]?.ttlSeconds;
}

/** What `work` gives as it should be, with the bug, and after the bug. */
async function compared<Value>(
  bug: Partial<Behaviour>,
  work: () => Promise<Value>,
): Promise<[Value, Value, Value]> {
  const healthy = etcd.behaviour;
  const before = await work();
  etcd.behave(bug);
  const during = await work();
  etcd.behave(healthy);
  return [before, during, await work()];
}

describe("MemoryEtcd's bugs, switched on and off", () => {
  it("loses a delete at the compaction revision", async () => {
    etcd.put("/a", "1");
    etcd.delete("/a");
    etcd.put("/b", "1");
    etcd.compact(3);
    const whole = ["delete /a@3", "put /b@4"];
    expect(await compared({ losesDeletes: true }, () => watched(3))).toEqual([whole, ["put /b@4"], whole]);
  });

  it("renews leases that are revoked or have run out", async () => {
    await client.grant({ id: leaseId(1n), ttlSeconds: 7 });
    await client.grant({ id: leaseId(2n), ttlSeconds: 3 });
    await client.revoke(leaseId(1n));
    await clock.advance(3_000);
    expect(await compared({ renewsDeadLeases: true }, () => renewed(1n))).toEqual([0, 7, 0]);
    expect(await compared({ renewsDeadLeases: true }, () => renewed(2n))).toEqual([0, 3, 0]);
    expect(await compared({ renewsDeadLeases: true }, () => renewed(3n))).toEqual([0, 0, 0]);
  });

  it("says -1 for a lease that is gone, as grpc-proxy does", async () => {
    expect(await compared({ missingLeaseTtl: -1 }, () => renewed(1n))).toEqual([0, -1, 0]);
  });

  it("replays history to a watch that begins in the future", async () => {
    etcd.put("/a", "1");
    etcd.put("/a", "2");
    const replay = ["put /a@2", "put /a@3"];
    expect(await compared({ replaysHistory: true }, () => watched(4))).toEqual([[], replay, []]);
    etcd.compact(3);
    expect(await compared({ replaysHistory: true }, () => watched(9))).toEqual([[], ["put /a@3"], []]);
  });

  it("serves stale reads, with the header of then, until they are compacted", async () => {
    etcd.put("/a", "1");
    etcd.behave({ servesStaleReads: true });
    etcd.put("/a", "2");
    etcd.put("/b", "1");
    const read = async () => {
      const { header, kvs, count } = await client.range({ key: bytes("/"), rangeEnd: bytes("0") });
      return [header.revision, kvs.map(({ value }) => text(value)), count];
    };
    expect(await read()).toEqual([2, ["1"], 1]);
    expect(await client.range({ key: bytes("/a"), revision: 3 }).catch(failureOf)).toBe("future-revision");
    const inTxn = { type: "range", range: { key: bytes("/a") } } as const;
    expect(await client.txn({ compare: [], success: [inTxn], failure: [] })).toMatchObject({
      header: { revision: 4 },
      ranges: [{ kvs: [{ value: bytes("2") }] }],
    });
    etcd.compact(3);
    expect(await read()).toEqual([3, ["2"], 1]);
    etcd.behave({ servesStaleReads: false });
    expect(await read()).toEqual([4, ["2", "1"], 2]);
  });

  it("keeps what the version is when a bug is switched on", async () => {
    await using old = new MemoryEtcd({ clock, version: "3.4.23", behaviour: { missingLeaseTtl: -1 } });
    expect(old.behaviour).toMatchObject({ version: "3.4.23", progress: "at-once", missingLeaseTtl: -1 });
    old.behave({ progress: "in-step" });
    expect(old.behaviour).toMatchObject({ version: "3.4.23", losesDeletes: true, progress: "in-step" });
  });
});
