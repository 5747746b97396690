import { type EtcdTransport, SdError, type TxnRequest } from "@sd/core";
import { recordStates } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { etcdError } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import { type InstanceGroup, registerAll, startAllRegistrations } from "./register-all.js";

const COUNT = 300;
const keyOf = (index: number): string => `/web/node-${String(index).padStart(4, "0")}`;
const instances = (count = COUNT) =>
  Array.from({ length: count }, (_, index) => ({
    service: "web",
    id: `node-${String(index).padStart(4, "0")}`,
    address: `host-${index}:80`,
  }));
const options = { instances: instances(), ttlSeconds: 15 };

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const begin = (): Promise<InstanceGroup> => bench.run(registerAll(bench.client, options));
const txns = (): readonly TxnRequest[] => bench.memory.callsOf("txn").map(({ request }) => request);
const writesOf = (group: InstanceGroup): number =>
  group.registrations.reduce((sum, { key }) => sum + bench.writes(key), 0);
const statuses = (group: InstanceGroup): string[] => [
  ...new Set(group.registrations.map(({ state }) => state.status)),
];

/** What each says of its key is what etcd holds. */
function expectTrue(group: Pick<InstanceGroup, "registrations">): void {
  for (const { key, state } of group.registrations) {
    const kv = bench.memory.get(key);
    expect(state).toEqual({ status: "registered", leaseId: kv?.lease, revision: kv?.modRevision });
  }
}

describe("registerAll()", () => {
  it("resolves once etcd has all, under few leases and in few transactions (R1)", async () => {
    const all = { instances: instances(2_500), ttlSeconds: 15 };
    const group = await bench.run(registerAll(bench.client, all));
    expectTrue(group);
    expect(group.registrations.map(({ key }) => key)).toEqual(all.instances.map((_, index) => keyOf(index)));
    expect(group.state).toEqual({ status: "registered" });
    expect(group.registered).toBe(2_500);
    const keys = new Map<bigint, number>();
    for (const { key } of group.registrations) {
      const lease = bench.memory.get(key)?.lease ?? 0n;
      keys.set(lease, (keys.get(lease) ?? 0) + 1);
    }
    expect([...keys.values()].every((count) => count <= 1_000)).toBe(true);
    expect(bench.memory.leases).toHaveLength(3);
    expect(txns()).toHaveLength(3 * Math.ceil(2_500 / 3 / 128));
    const { memory, clock } = bench;
    await clock.advance(60_000);
    expect(memory.openStreams, "renewals, watches").toBe(2);
    const watched = memory
      .callsOf("watchRequest")
      .flatMap(({ request }) => (request.type === "create" && request.rangeEnd ? [request] : []))
      .filter(({ key, rangeEnd }) => `${key}` !== `${rangeEnd}`);
    expect(watched, "a range for each lease").toHaveLength(3);
    expect(memory.events, "and nothing is written any more (R14)").toHaveLength(2_500);
  });

  it("believes no list of its keys that is older than what it knows: asks no more than once (R7)", async () => {
    let list: (() => void) | undefined;
    const wrap = (inner: EtcdTransport): Partial<EtcdTransport> => ({
      async range(request, rest) {
        if (request.rangeEnd === undefined || list) return inner.range(request, rest);
        bench.memory.delete(keyOf(7));
        const page = await inner.range(request, rest);
        bench.memory.put(keyOf(7), "other:1");
        await new Promise<void>((resolve) => {
          list = resolve;
        });
        return page;
      },
    });
    const group = startAllRegistrations(bench.newClient({ wrap }), options);
    await bench.clock.settle();
    const seventh = group.registrations[7];
    const updated = seventh?.update({ weight: 5 });
    updated?.catch(() => {});
    await bench.clock.advance(2_000);
    expect(seventh?.state).toMatchObject({ status: "conflict", owner: { leaseId: 0n } });
    const before = txns().length;
    list?.();
    await bench.clock.settle();
    expect(txns().length).toBe(before);
    bench.memory.delete(keyOf(7));
    await bench.clock.advance(1_000);
    expect(seventh?.state.status).toBe("registered");
    await bench.run(group.close());
  });

  it("leaves another's key alone, and holds up nobody for it (R2)", async () => {
    bench.memory.put(keyOf(7), "other:1");
    const group = startAllRegistrations(bench.client, options);
    await bench.clock.settle();
    expect(group.registered).toBe(COUNT - 1);
    expect(group.registrations[7]?.state).toMatchObject({ status: "conflict", owner: { leaseId: 0n } });
    expect(bench.history(keyOf(7))).toEqual(["other:1"]);
    expect(group.state).toEqual({ status: "registering" });
    expect(txns(), "three, and one again without the contested key").toHaveLength(4);
    bench.memory.delete(keyOf(7));
    await bench.run(group.ready(), 1_000);
    expectTrue(group);
    expect(writesOf(group) - 1).toBe(COUNT);
  });

  it("takes over from predecessors: who has our address", async () => {
    const { instances: all } = options;
    for (const index of [0, 5, 200]) bench.memory.put(keyOf(index), all[index]?.address ?? "");
    expectTrue(await begin());
  });

  it("reads back what an unanswered transaction did, and writes it once (R5)", async () => {
    bench.memory.loseNextAnswer("txn");
    const group = startAllRegistrations(bench.client, options);
    await bench.run(group.ready(), 10_000);
    expectTrue(group);
    expect(writesOf(group)).toBe(COUNT);
  });

  it("ends all with SD_CONFLICT where the policy is `fail` (R7)", async () => {
    bench.memory.put(keyOf(7), "other:1");
    const work = registerAll(bench.client, { ...options, onConflict: "fail" });
    const error = await bench.run(work.catch((thrown: unknown) => thrown));
    expect(SdError.is(error, "SD_CONFLICT")).toBe(true);
    expect(bench.memory.leases).toEqual([]);
    expect(bench.textOf(keyOf(7))).toBe("other:1");
    expect(bench.textOf(keyOf(8))).toBeUndefined();
  });

  it.each([
    ["no list", { instances: "x" }],
    ["an empty one", { instances: [] }],
    ["what is no instance", { instances: [7] }],
    ["two of one key", { instances: [...instances(2), ...instances(1)] }],
    ["a bad address", { instances: [{ service: "a", id: "b", address: "x" }] }],
    ["a TTL below the least", { instances: instances(1), ttlSeconds: 1 }],
  ])("refuses %s before any I/O", async (_, wrong) => {
    const error = await registerAll(bench.client, wrong as never).catch((thrown: unknown) => thrown);
    expect(SdError.is(error, "SD_INVALID_ARGUMENT")).toBe(true);
    expect(bench.memory.calls).toEqual([]);
  });
});

describe("startAllRegistrations()", () => {
  it("says which key is there twice", () => {
    const twice = { instances: [...instances(2), ...instances(1)] };
    expect(() => startAllRegistrations(bench.client, twice)).toThrow(
      'instances must be each of a key of its own, got "/web/node-0000"',
    );
  });
});

describe("a group of registrations", () => {
  it("brings back the keys that are deleted, and writes no other (R8)", async () => {
    const group = await begin();
    const seen = recordStates(group);
    for (const index of [3, 250]) bench.memory.delete(keyOf(index));
    await bench.clock.settle();
    expect(group.registrations[3]?.state).toEqual({ status: "lost", reason: "key-deleted" });
    expect(group.state).toEqual({ status: "partial" });
    await bench.clock.advance(1_000);
    expectTrue(group);
    expect(writesOf(group)).toBe(COUNT + 2);
    expect(seen.statuses).toEqual(["registered", "partial", "registered"]);
  });

  it("sees what happens to keys of which each may be read, but not what lies between (R8)", async () => {
    const { memory, clock } = bench;
    const denied = etcdError(7, "etcdserver: permission denied");
    const client = bench.newClient({
      wrap: (transport) => ({
        range: (request, options) =>
          request.rangeEnd ? Promise.reject(denied) : transport.range(request, options),
      }),
    });
    const group = await bench.run(registerAll(client, { instances: instances(20) }));
    await clock.advance(2_000);
    memory.delete(keyOf(3));
    memory.put(keyOf(4), "other:1");
    await clock.advance(1_500);
    expectTrue({ registrations: group.registrations.filter((_, index) => index !== 4) });
    expect(group.registrations[4]?.state).toMatchObject({ status: "conflict" });
  });

  it.each([
    ["before", 0],
    ["as they come", 60_000],
  ])(
    "watches each key alone where others have 100 times as many between them (%s) (R8)",
    async (_when, laterMs) => {
      const { memory, clock } = bench;
      const fill = (): void => {
        for (let index = 0; index < 2_000; index += 1) memory.put(`/web/node-0003-${index}`, "x");
      };
      if (laterMs === 0) fill();
      const group = await bench.run(registerAll(bench.client, { instances: instances(20) }));
      await clock.advance(laterMs);
      if (laterMs > 0) fill();
      await clock.advance(10_000);
      const watched = memory
        .callsOf("watchRequest")
        .flatMap(({ request }) =>
          request.type === "create" && !request.rangeEnd ? [`${Buffer.from(request.key)}`] : [],
        );
      // Who waits for a sign of life asks by one more watch of the first key.
      expect(new Set(watched).size).toBe(20);
      memory.delete(keyOf(3));
      memory.put(keyOf(4), "other:1");
      await clock.advance(1_500);
      expectTrue({ registrations: group.registrations.filter((_, index) => index !== 4) });
      expect(group.registrations[4]?.state).toMatchObject({ status: "conflict" });
    },
  );

  it("gives way to whoever takes a key, and returns when it is free (R7)", async () => {
    const group = await begin();
    bench.memory.put(keyOf(3), "successor:1");
    await bench.clock.advance(60_000);
    expect(group.registrations[3]?.state).toMatchObject({ status: "conflict" });
    expect(group.registered).toBe(COUNT - 1);
    bench.memory.delete(keyOf(3));
    await bench.clock.advance(1_000);
    expectTrue(group);
  });

  it("sees what happened between a transaction and the first list of its watch (R8)", async () => {
    bench.memory.holdWatchEvents();
    const group = await begin();
    bench.memory.delete(keyOf(3));
    bench.memory.put(keyOf(4), "successor:1");
    bench.memory.releaseWatchEvents();
    await bench.clock.advance(1_500);
    expect(bench.textOf(keyOf(3))).toBe("host-3:80");
    expect(group.registrations[4]?.state.status).toBe("conflict");
  });

  it("finds by a list what a compaction has hidden from its watch (R8)", async () => {
    const group = await begin();
    await bench.clock.advance(1_000);
    bench.disconnect();
    bench.memory.delete(keyOf(3));
    bench.memory.put("/other", "x");
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(2_000);
    bench.connect();
    await bench.clock.advance(12_000);
    expectTrue(group);
    expect(writesOf(group)).toBe(COUNT + 1);
  });

  it("takes updates of single ones, under the same lease, together where they come together (R11)", async () => {
    const group = await begin();
    const before = bench.memory.get(keyOf(1));
    const txnsBefore = txns().length;
    await bench.run(
      Promise.all(group.registrations.map((registration) => registration.update({ weight: 5 }))),
    );
    expectTrue(group);
    const after = bench.memory.get(keyOf(1));
    expect(after).toMatchObject({ lease: before?.lease, createRevision: before?.createRevision, version: 2 });
    expect(txns().length - txnsBefore).toBe(Math.ceil(COUNT / 128));
  });

  it("is there after an outage within the TTL without a write (R14)", async () => {
    const group = await begin();
    bench.disconnect();
    await bench.clock.advance(10_000);
    bench.connect();
    await bench.clock.advance(10_000);
    expectTrue(group);
    expect(writesOf(group)).toBe(COUNT);
  });

  it("recovers an overdue lease that etcd still has, without a write (R14)", async () => {
    const group = await begin();
    bench.memory.kill();
    await bench.clock.advance(40_000);
    expect(statuses(group)).toEqual(["lost"]);
    bench.memory.restart();
    await bench.clock.advance(6_000);
    expectTrue(group);
    expect(writesOf(group)).toBe(COUNT);
  });

  it("is back within 6 s of an outage that its lease did not survive, on one new lease (R13)", async () => {
    const group = await begin();
    bench.disconnect();
    await bench.clock.advance(60_000);
    expect(bench.memory.leases).toEqual([]);
    bench.connect();
    await bench.clock.advance(6_000);
    expectTrue(group);
    expect(bench.memory.leases).toHaveLength(1);
    expect(writesOf(group)).toBe(2 * COUNT);
  });

  it("takes one new lease when its own is revoked from outside (R8)", async () => {
    const group = await begin();
    bench.memory.revokeLease(bench.memory.leases[0] ?? 0n);
    await bench.clock.advance(1_500);
    expectTrue(group);
    expect(bench.memory.leases).toHaveLength(1);
    expect(writesOf(group)).toBe(2 * COUNT);
  });

  it("is back after etcd was wiped, and watched by few watches again (R13)", async () => {
    const group = await begin();
    bench.memory.put("/other", "x");
    await bench.clock.advance(10_000);
    bench.memory.wipe();
    bench.memory.clearCalls();
    await bench.clock.advance(20_000);
    expectTrue(group);
    const created = bench.memory.callsOf("watchRequest").filter(({ request }) => request.type === "create");
    expect(created.length, "signs of life included").toBeLessThan(COUNT / 10);
  });

  it("tells each of them of the renewals of their lease", async () => {
    const group = await begin();
    const [first, , third] = group.registrations.map((registration) =>
      registration.renewals()[Symbol.asyncIterator](),
    );
    await bench.clock.advance(6_000);
    expect((await first?.next())?.value).toMatchObject({ ttlSeconds: 15 });
    expect((await third?.next())?.value).toMatchObject({ ttlSeconds: 15 });
    await bench.run(group.close());
    expect((await first?.next())?.done).toBe(true);
  });
});

describe("RegistrationGroup.close()", () => {
  it("revokes the lease and deletes nothing: another's key stays (R3, R9)", async () => {
    const group = await begin();
    bench.memory.holdWatchEvents();
    bench.memory.put(keyOf(3), "other:1");
    const revocation = await bench.run(group.close());
    expect(revocation).toEqual({ confirmed: true, revision: bench.memory.revision });
    expect(group.state).toEqual({ status: "deregistered", confirmed: true });
    expect(statuses(group)).toEqual(["deregistered"]);
    expect(bench.memory.callsOf("revoke")).toHaveLength(1);
    expect(txns().every(({ success }) => success.every(({ type }) => type === "put"))).toBe(true);
    expect(bench.textOf(keyOf(3))).toBe("other:1");
    expect(bench.textOf(keyOf(4))).toBeUndefined();
    bench.memory.releaseWatchEvents();
    expect(group.close()).toBe(group.close());
  });

  it("deletes nothing, whatever they are at: held, in conflict, about to be put right (R9)", async () => {
    const group = await begin();
    for (let index = 0; index < COUNT; index += 3) bench.memory.put(keyOf(index), "other:1");
    for (let index = 1; index < COUNT; index += 3) bench.memory.delete(keyOf(index));
    await bench.clock.settle();
    await bench.run(group.close());
    expect(bench.memory.callsOf("revoke")).toHaveLength(1);
    expect(txns().every(({ success }) => success.every(({ type }) => type === "put"))).toBe(true);
  });

  it("is bounded by closeTimeoutMs while etcd is frozen (R9)", async () => {
    const group = await bench.run(registerAll(bench.client, { ...options, closeTimeoutMs: 800 }));
    bench.memory.freeze();
    const startedAt = bench.clock.now();
    expect(await bench.run(group.close(), 800)).toMatchObject({ confirmed: false });
    expect(bench.clock.now() - startedAt).toBe(800);
    bench.memory.thaw();
  });

  it("is confirmed if the lease is gone, also for one that was closed before in vain (R9)", async () => {
    const group = await bench.run(registerAll(bench.client, { ...options, closeTimeoutMs: 800 }));
    bench.memory.freeze();
    const [first] = group.registrations as [(typeof group.registrations)[number]];
    expect(await bench.run(first.close(), 800)).toMatchObject({ confirmed: false });
    bench.memory.thaw();
    expect(await bench.run(group.close())).toMatchObject({ confirmed: true });
    expect(first.state).toEqual({ status: "deregistered", confirmed: false });
    expect(bench.textOf(keyOf(0))).toBeUndefined();
  });

  it("is bounded also for one that was closing by itself, from when it began (R9)", async () => {
    const group = await bench.run(registerAll(bench.client, { ...options, closeTimeoutMs: 800 }));
    bench.memory.freeze();
    const startedAt = bench.clock.now();
    const [first] = group.registrations as [(typeof group.registrations)[number]];
    const alone = first.close().then(() => bench.clock.now() - startedAt);
    await bench.clock.advance(400);
    const all = group.close().then(() => bench.clock.now() - startedAt);
    await bench.clock.advance(2_000);
    expect(await Promise.all([alone, all])).toEqual([800, 1_200]);
    bench.memory.thaw();
  });

  it("is called by the client's close()", async () => {
    const group = await begin();
    await bench.run(bench.client.close());
    expect(bench.memory.callsOf("revoke")).toHaveLength(1);
    expect(bench.memory.leases).toEqual([]);
    expect(group.state.status).toBe("deregistered");
  });

  it("is possible at once, before anything is registered", async () => {
    const group = startAllRegistrations(bench.client, options);
    const ready = group.ready().catch((error: unknown) => error);
    await bench.run(group.close());
    expect(SdError.is(await ready, "SD_CLOSED")).toBe(true);
    await bench.clock.advance(20_000);
    expect(bench.memory.leases).toEqual([]);
    expect(bench.textOf(keyOf(0))).toBeUndefined();
  });
});
