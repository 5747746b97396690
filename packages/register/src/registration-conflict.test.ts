import type { Format, LeaseId } from "@sd/core";
import { defaultFormat, SdError } from "@sd/core";
import { recordStates } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { register, registerKey, startKeyRegistration, startRegistration } from "./register.js";
import type { RegistrationState } from "./registration-state.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const KEY = "/web/node1";
const web = { service: "web", id: "node1", address: "localhost:8000", ttlSeconds: 5 };
const MINUTES = 60_000;

/** Another program's key under a lease that nobody renews. */
const occupy = async (value: string, ttlSeconds = 60): Promise<bigint> => {
  const id = (0x7777n + BigInt(bench.memory.leases.length)) as LeaseId;
  await bench.memory.transport().grant({ id, ttlSeconds });
  bench.memory.put(KEY, value, { lease: id });
  return id;
};

describe("Registration: a key that is another's", () => {
  it("is never overwritten (R2): it waits in conflict, shows the owner, and enters when it is free", async () => {
    const lease = await occupy("other:1");
    const registration = startRegistration(bench.client, web);
    const seen = recordStates(registration);
    await bench.clock.advance(30_000);
    expect(bench.history(KEY)).toEqual(["other:1"]);
    const owner = { value: Buffer.from("other:1"), leaseId: lease, modRevision: 2 };
    expect(registration.state).toMatchObject({
      status: "conflict",
      owner: { ...owner, value: expect.any(Uint8Array) },
    });
    bench.memory.revokeLease(lease);
    await bench.run(registration.ready(), 1_000);
    expect(bench.history(KEY)).toEqual(["other:1", undefined, "localhost:8000"]);
    expect(seen.statuses).toEqual(["registering", "conflict", "registered"]);
  });

  it("is another's, whatever a format of one's own throws at it", async () => {
    await occupy("192.0.2.1:1");
    const format: Format = {
      ...defaultFormat,
      read() {
        throw new Error("the address is not one of ours");
      },
    };
    const registration = startRegistration(bench.client, { ...web, format });
    await bench.clock.settle();
    expect(registration.state).toMatchObject({ status: "conflict", owner: { modRevision: 2 } });
    const failing = register(bench.client, { ...web, format, onConflict: "fail" });
    await expect(bench.run(failing, 1_000)).rejects.toMatchObject({ code: "SD_CONFLICT" });
  });

  it("is told anew when the owner changes", async () => {
    await occupy("other:1");
    const registration = startRegistration(bench.client, web);
    await bench.clock.settle();
    bench.memory.put(KEY, "other:2");
    await bench.clock.settle();
    expect(registration.state).toMatchObject({ status: "conflict", owner: { leaseId: 0n, modRevision: 3 } });
    expect(bench.history(KEY)).toEqual(["other:1", "other:2"]);
  });

  it("is the rival's of now, after etcd was wiped and another has the key at the same revision", async () => {
    await occupy("other:1");
    const registration = startRegistration(bench.client, web);
    await bench.clock.settle();
    const { owner } = registration.state as Extract<RegistrationState, { status: "conflict" }>;
    bench.memory.cut();
    bench.memory.wipe();
    const rival = 0x8888n as LeaseId;
    await bench.memory.transport().grant({ id: rival, ttlSeconds: 3_600 });
    bench.memory.put(KEY, "other:2", { lease: rival });
    expect(bench.memory.get(KEY)?.modRevision).toBe(owner.modRevision);
    for (let i = 0; i < 20; i += 1) bench.memory.put("/junk", `${i}`);
    await bench.clock.advance(2 * MINUTES);
    expect(registration.state).toMatchObject({
      status: "conflict",
      owner: { modRevision: owner.modRevision, leaseId: rival },
    });
  });

  it("is entered when it is free after an outage in which nobody could hear of it", async () => {
    const lease = await occupy("other:1");
    const registration = startRegistration(bench.client, web);
    await bench.clock.settle();
    bench.memory.cut();
    bench.memory.refuse();
    bench.memory.revokeLease(lease);
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(5 * MINUTES);
    bench.memory.accept();
    await bench.run(registration.ready(), 10_000);
    expect(bench.textOf(KEY)).toBe("localhost:8000");
  });

  it("cannot be read as an instance: it is another's all the same", async () => {
    await occupy("{ broken");
    const registration = startRegistration(bench.client, web);
    await bench.clock.advance(10_000);
    expect(registration.state.status).toBe("conflict");
    expect(bench.writes(KEY)).toBe(1);
  });

  it("is not adopted: its lease is neither renewed nor revoked (R4)", async () => {
    const lease = await occupy("other:1", 20);
    const registration = startRegistration(bench.client, web);
    await bench.clock.advance(10_000);
    await bench.run(registration.close());
    expect(bench.memory.leases).toEqual([lease]);
    expect(bench.memory.callsOf("renew").some(({ request }) => request.id === lease)).toBe(false);
    await bench.clock.advance(11_000);
    expect(bench.textOf(KEY)).toBeUndefined();
  });
});

describe("Registration: a predecessor with the same address", () => {
  it.each([true, false])("is taken over at once, in one transaction (lease: %s)", async (hasLease) => {
    if (hasLease) await occupy('{"address":"localhost:8000","weight":3}');
    else bench.memory.put(KEY, "localhost:8000");
    await bench.run(register(bench.client, web));
    expect(bench.writes(KEY)).toBe(2);
    expect(bench.history(KEY)).not.toContain(undefined);
    expect(bench.memory.leases).toContain(bench.memory.get(KEY)?.lease);
    expect(bench.memory.get(KEY)?.createRevision).toBe(2);
  });

  it("keeps the key when the predecessor's lease ends", async () => {
    await occupy("localhost:8000", 5);
    const registration = await bench.run(register(bench.client, web));
    await bench.clock.advance(20_000);
    expect(registration.state.status).toBe("registered");
    expect(bench.history(KEY)).toEqual(["localhost:8000", "localhost:8000"]);
  });

  it("is for a bare key one with the same value", async () => {
    bench.memory.put(KEY, "a");
    await bench.run(registerKey(bench.client, { key: KEY, value: "a" }));
    const other = startKeyRegistration(bench.newClient(), { key: KEY, value: "b" });
    await bench.clock.advance(10_000);
    expect(other.state.status).toBe("conflict");
    expect(bench.writes(KEY)).toBe(2);
  });

  it("is no more taken over once we were registered: the successor keeps the key", async () => {
    const first = await bench.run(register(bench.client, web));
    const second = await bench.run(register(bench.newClient(), web));
    await bench.clock.advance(10 * MINUTES);
    expect([first.state.status, second.state.status]).toEqual(["conflict", "registered"]);
    expect(bench.writes(KEY)).toBe(2);
    await bench.run(second.close());
    await bench.clock.advance(5_000);
    expect(first.state.status).toBe("registered");
  });

  it("that comes back is let in again: the first yields for good", async () => {
    const first = await bench.run(register(bench.client, web));
    bench.memory.put(KEY, "localhost:8000");
    await bench.clock.advance(10 * MINUTES);
    expect(first.state).toMatchObject({ status: "conflict", owner: { leaseId: 0n } });
    expect(bench.writes(KEY)).toBe(2);
  });
});

describe("Registration: two of the same key and address, started together", () => {
  const settled = async (lost: number): Promise<void> => {
    for (let index = 0; index < lost; index++) bench.memory.loseNextAnswer("txn");
    const other = bench.newClient();
    const pair = [startRegistration(bench.client, web), startRegistration(other, web)];
    await bench.clock.advance(10_000);
    const writes = bench.writes(KEY);
    const grants = bench.memory.callsOf("grant").length;
    await bench.clock.advance(10 * MINUTES);
    expect(pair.map(({ state }) => state.status).sort()).toEqual(["conflict", "registered"]);
    expect(bench.writes(KEY)).toBe(writes);
    expect(bench.memory.callsOf("grant").length).toBe(grants);
    expect(writes).toBeLessThanOrEqual(2 + lost);
    const owner = pair.find(({ state }) => state.status === "registered");
    expect(owner?.state).toMatchObject({ leaseId: bench.memory.get(KEY)?.lease });
  };
  it.each([0, 1, 2, 3])("end with one owner and without ping-pong (%i answers lost)", settled);
});

describe("Registration: conflict policy takeover", () => {
  it("overwrites another's key", async () => {
    await occupy("other:1");
    await bench.run(register(bench.client, { ...web, onConflict: "takeover" }));
    expect(bench.history(KEY)).toEqual(["other:1", "localhost:8000"]);
  });

  it("writes at most about once a second against one who writes back, then slower", async () => {
    const registration = await bench.run(
      register(bench.client, { ...web, ttlSeconds: 15, onConflict: "takeover" }),
    );
    const lease = bench.memory.get(KEY)?.lease;
    const times: number[] = [];
    for (let at = 0; at < 120_000; at += 100) {
      if (bench.memory.get(KEY)?.lease === lease) bench.memory.put(KEY, "other:1");
      await bench.clock.advance(100);
      if (bench.memory.get(KEY)?.lease === lease) times.push(bench.clock.now());
    }
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(900);
    expect(times.length).toBeLessThan(35);
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(4_800);
    expect(bench.memory.callsOf("grant")).toHaveLength(1);
    await bench.run(registration.close());
  });
});

describe("Registration: conflict policy fail", () => {
  it("rejects with SD_CONFLICT and gives its lease back", async () => {
    const lease = await occupy("other:1");
    const work = register(bench.client, { ...web, onConflict: "fail" }).catch((error: unknown) => error);
    const failure = await bench.run(work);
    expect(SdError.is(failure, "SD_CONFLICT")).toBe(true);
    expect(String(failure)).toContain(KEY);
    expect(String(failure)).toContain(lease.toString(16));
    expect(bench.memory.leases).toEqual([lease]);
    expect(bench.history(KEY)).toEqual(["other:1"]);
  });

  it("takes a predecessor over all the same", async () => {
    await occupy("localhost:8000");
    const registration = await bench.run(register(bench.client, { ...web, onConflict: "fail" }));
    expect(registration.state.status).toBe("registered");
  });

  it("ends as failed when it is overwritten later", async () => {
    const registration = await bench.run(register(bench.client, { ...web, onConflict: "fail" }));
    const seen = recordStates(registration);
    bench.memory.put(KEY, "other:1");
    await bench.clock.advance(5_000);
    expect(registration.state).toMatchObject({ status: "failed", error: { code: "SD_CONFLICT" } });
    expect(bench.memory.leases).toEqual([]);
    await bench.run(registration.close());
    expect(seen.statuses).toEqual(["registered", "conflict", "failed", "draining", "deregistered"]);
    expect(bench.textOf(KEY)).toBe("other:1");
  });

  it("refuses updates and ends renewals once it has failed", async () => {
    await occupy("other:1");
    const registration = startRegistration(bench.client, { ...web, onConflict: "fail" });
    await bench.clock.settle();
    const update = registration.update({ weight: 1 }).catch((error: unknown) => error);
    expect(SdError.is(await bench.run(update), "SD_CLOSED")).toBe(true);
    const renewals = registration.renewals()[Symbol.asyncIterator]();
    expect((await bench.run(renewals.next())).done).toBe(true);
  });

  it("closes within its timeout when etcd freezes at that moment (R9)", async () => {
    await occupy("other:1");
    const registration = startRegistration(bench.client, {
      ...web,
      onConflict: "fail",
      closeTimeoutMs: 1_000,
    });
    registration.subscribe(({ status }) => {
      if (status === "failed") bench.memory.freeze();
    });
    await bench.clock.settle();
    const revocation = await bench.run(registration.close(), 1_000);
    expect(revocation.confirmed).toBe(false);
  });
});
