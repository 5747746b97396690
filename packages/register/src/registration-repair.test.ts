import { recordStates } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import type { InstanceRegistration } from "./register.js";
import { register } from "./register.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const KEY = "/web/node1";
const web = { service: "web", id: "node1", address: "localhost:8000", ttlSeconds: 15 };
const begin = (): Promise<InstanceRegistration> => bench.run(register(bench.client, web));
const leaseId = (): bigint => bench.memory.get(KEY)?.lease ?? 0n;

describe("Registration: a lease that ended outside", () => {
  it.each(["expired", "revoked"])(
    "is replaced at once when it was %s: one re-registration (R8)",
    async (how) => {
      const registration = await begin();
      await bench.clock.advance(2_000);
      const before = leaseId();
      const seen = recordStates(registration);
      if (how === "expired") bench.memory.expireLease(before);
      else bench.memory.revokeLease(before);
      await bench.clock.advance(1_000);
      expect(bench.history(KEY)).toEqual(["localhost:8000", undefined, "localhost:8000"]);
      expect(leaseId()).not.toBe(before);
      expect(seen.statuses).toEqual(["registered", "lost", "registered"]);
      await bench.clock.advance(60_000);
      expect(bench.writes(KEY)).toBe(2);
      expect(bench.memory.callsOf("grant")).toHaveLength(2);
    },
  );

  it("makes one re-registration when the DELETE comes before the TTL of 0, at any distance (F20)", async () => {
    for (let offset = 0; offset <= 5_600; offset += 350) {
      await bench.end();
      bench = new Harness();
      await begin();
      await bench.clock.advance(11_000 + offset);
      const renewals = bench.memory.callsOf("renew").length;
      bench.memory.expireLease(leaseId());
      await bench.clock.advance(20_000);
      expect(bench.memory.callsOf("renew").length).toBeGreaterThan(renewals);
      expect(bench.writes(KEY)).toBe(2);
      expect(bench.memory.callsOf("grant")).toHaveLength(2);
    }
  });

  it("makes one re-registration when the renewal is under way as the DELETE comes (F20)", async () => {
    await begin();
    const before = leaseId();
    await bench.clock.advance(2_000);
    const renewals = bench.memory.callsOf("renew").length;
    bench.memory.freeze();
    // The renewal waits in the frozen etcd; the lease ends before it is answered with 0.
    while (bench.memory.callsOf("renew").length === renewals) await bench.clock.advance(100);
    bench.memory.expireLease(before);
    bench.memory.thaw();
    await bench.clock.advance(60_000);
    expect(bench.writes(KEY)).toBe(2);
    expect(bench.memory.callsOf("grant")).toHaveLength(2);
  });

  it("makes one re-registration when the TTL of 0 comes before the DELETE", async () => {
    const registration = await begin();
    bench.memory.holdWatchEvents();
    bench.memory.expireLease(leaseId());
    const seen: unknown[] = [];
    registration.subscribe((state) => seen.push(state));
    await bench.clock.advance(6_000);
    expect(seen[0]).toEqual({ status: "lost", reason: "lease-expired" });
    expect(registration.state.status).toBe("registered");
    bench.memory.releaseWatchEvents();
    await bench.clock.advance(60_000);
    expect(bench.writes(KEY)).toBe(2);
    expect(bench.memory.callsOf("grant")).toHaveLength(2);
  });
});

describe("Registration: a key that was deleted outside", () => {
  it("is put back under the same lease, at once (R8)", async () => {
    const registration = await begin();
    await bench.clock.advance(2_000);
    const before = leaseId();
    const reasons: unknown[] = [];
    registration.subscribe((state) => {
      if (state.status === "lost") reasons.push(state.reason);
    });
    bench.memory.delete(KEY);
    await bench.clock.settle();
    expect(leaseId()).toBe(before);
    expect(reasons).toEqual(["key-deleted"]);
    expect(registration.state).toMatchObject({ status: "registered", revision: bench.memory.revision });
    expect(bench.memory.callsOf("grant")).toHaveLength(1);
  });

  it("is put back within a second, just after the registration too", async () => {
    await begin();
    bench.memory.delete(KEY);
    await bench.clock.advance(1_000);
    expect(bench.textOf(KEY)).toBe("localhost:8000");
  });

  it("in a loop is put back at most once a second, then slower (R8)", async () => {
    await begin();
    const times: number[] = [];
    for (let at = 0; at < 120_000; at += 50) {
      if (bench.textOf(KEY) !== undefined) {
        times.push(bench.clock.now());
        bench.memory.delete(KEY);
      }
      await bench.clock.advance(50);
    }
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(950);
    expect(gaps.slice(5).every((gap) => gap >= 4_900)).toBe(true);
    expect(times.length).toBeLessThan(32);
    expect(bench.memory.callsOf("grant")).toHaveLength(1);
    await bench.clock.advance(40_000);
    bench.memory.delete(KEY);
    await bench.clock.settle();
    expect(bench.textOf(KEY)).toBe("localhost:8000");
  });

  it("and written anew by another in one message is the other's", async () => {
    const registration = await begin();
    bench.memory.delete(KEY);
    bench.memory.put(KEY, "other:1");
    await bench.clock.advance(10_000);
    expect(registration.state.status).toBe("conflict");
    expect(bench.textOf(KEY)).toBe("other:1");
  });
});

describe("Registration: a value that was changed outside", () => {
  it("is put right when it stands under our lease", async () => {
    const registration = await begin();
    bench.memory.put(KEY, "changed:1", { lease: leaseId() });
    await bench.clock.advance(1_000);
    expect(bench.textOf(KEY)).toBe("localhost:8000");
    expect(registration.state).toMatchObject({ revision: bench.memory.get(KEY)?.modRevision });
  });
});

describe("Registration.renewals()", () => {
  it("tells confirmed renewals, of one lease after another, and ends on close", async () => {
    const registration = await begin();
    const leases: bigint[] = [];
    const reading = (async () => {
      for await (const { id, ttlSeconds, header } of registration.renewals()) {
        if (leases.at(-1) !== id) leases.push(id);
        expect([ttlSeconds, header.clusterId]).toEqual([
          15,
          bench.memory.range({ key: Buffer.from("/") }).header.clusterId,
        ]);
      }
    })();
    await bench.clock.advance(12_000);
    const first = leaseId();
    bench.memory.expireLease(first);
    await bench.clock.advance(12_000);
    await bench.run(registration.close());
    await bench.run(reading);
    expect(leases).toHaveLength(2);
    expect(leases[0]).toBe(first);
  });

  it("gives a slow reader the newest only", async () => {
    const registration = await begin();
    const renewals = registration.renewals()[Symbol.asyncIterator]();
    await bench.clock.advance(12_000);
    bench.memory.put("/other", "1");
    await bench.clock.advance(12_000);
    const { value } = await bench.run(renewals.next());
    expect(value.header.revision).toBe(bench.memory.revision);
    const second = renewals.next();
    await bench.run(registration.close());
    expect(await bench.run(second)).toEqual({ done: true, value: undefined });
  });

  it("throws its signal's reason, and is over at once after close()", async () => {
    const registration = await begin();
    const controller = new AbortController();
    const renewals = registration.renewals({ signal: controller.signal })[Symbol.asyncIterator]();
    const next = renewals.next().catch((error: unknown) => error);
    controller.abort("enough");
    expect(await bench.run(next)).toBe("enough");
    await bench.run(registration.close());
    const late = registration.renewals()[Symbol.asyncIterator]();
    expect((await bench.run(late.next())).done).toBe(true);
  });
});
