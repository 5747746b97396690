import { deferred, type EtcdTransport, nextRound } from "@sd/core";
import { leaseId, recordStates } from "@sd/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { etcdError, Fault } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import type { InstanceRegistration } from "./register.js";
import { register, startRegistration } from "./register.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const KEY = "/web/node1";
const MINUTE = 60_000;
const web = { service: "web", id: "node1", address: "localhost:8000", ttlSeconds: 15 };
/** From the end of an outage to the registration: backoff cap, and a margin for a read-back. */
const BACK_MS = 5_000 + 1_500;

const begin = (): Promise<InstanceRegistration> => bench.run(register(bench.client, web));
const verified = (registration: InstanceRegistration): void => {
  const kv = bench.memory.get(KEY);
  expect(registration.state).toEqual({
    status: "registered",
    leaseId: kv?.lease,
    revision: kv?.modRevision,
  });
  expect(bench.memory.leases).toContain(kv?.lease);
};

describe("Registration: in quiet times", () => {
  it("writes once, and renews every third of the TTL, one tenth more or less", async () => {
    const registration = await begin();
    await bench.clock.advance(10 * MINUTE);
    verified(registration);
    expect(bench.writes(KEY)).toBe(1);
    const times = bench.memory.callsOf("renew").map(({ at }) => at);
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(4_400);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_600);
  });

  it("reads an ambiguous claim back, and writes once (R5)", async () => {
    bench.memory.loseNextAnswer("txn");
    const registration = await bench.run(register(bench.client, web), 1_000);
    verified(registration);
    expect(bench.writes(KEY)).toBe(1);
    expect(bench.memory.callsOf("grant")).toHaveLength(1);
  });

  it("takes another lease when the answer to a grant is lost, and the first one ends by its TTL (R6)", async () => {
    bench.memory.loseNextAnswer("grant");
    verified(await bench.run(register(bench.client, web), 1_000));
    expect(bench.memory.leases).toHaveLength(2);
    await bench.clock.advance(20_000);
    expect(bench.memory.leases).toEqual([bench.memory.get(KEY)?.lease]);
  });

  it("claims nothing beyond its lease where the process was held up and no timer has run yet (R10)", async () => {
    const registration = await begin();
    const grantedAt = bench.memory.callsOf("grant").at(-1)?.at ?? Number.NaN;
    const time = vi.spyOn(bench.clock, "now");
    time.mockReturnValue(grantedAt + 14_999);
    expect(registration.state.status).toBe("registered");
    time.mockReturnValue(grantedAt + 15_000);
    expect(registration.state).toEqual({ status: "lost", reason: "lease-overdue" });
    time.mockRestore();
    verified(registration);
  });

  it("is not registered by an answer that is read beyond the lease, though no timer has run yet (R10)", async () => {
    const answer = deferred<void>();
    const wrap = (inner: EtcdTransport): Partial<EtcdTransport> => ({
      async txn(request, options) {
        const written = await inner.txn(request, options);
        await answer.promise;
        return written;
      },
    });
    const registration = startRegistration(bench.newClient({ wrap }), web);
    const seen = recordStates(registration);
    const ready = vi.fn();
    void registration.ready().then(ready);
    await bench.clock.settle();
    const time = vi.spyOn(bench.clock, "now");
    time.mockReturnValue(20_000);
    answer.resolve();
    await nextRound();
    time.mockRestore();
    expect(seen.statuses).toEqual(["registering"]);
    expect(ready).not.toHaveBeenCalled();
    await bench.clock.advance(BACK_MS);
    verified(registration);
    expect(bench.writes(KEY)).toBe(1);
  });

  it("is draining, not lost, for who hears that it is closed beyond its lease", async () => {
    const registration = await begin();
    const seen: string[] = [];
    registration.subscribe(() => seen.push(registration.state.status));
    const time = vi.spyOn(bench.clock, "now");
    time.mockReturnValue(20_000);
    const closed = registration.close();
    time.mockRestore();
    await bench.run(closed);
    expect(seen).toEqual(["draining", "deregistered"]);
  });

  it("survives renewals that are not answered", async () => {
    const registration = await begin();
    const seen = recordStates(registration);
    for (let round = 0; round < 10; round++) {
      bench.memory.dropNextRequest("renew");
      await bench.clock.advance(20_000);
    }
    expect(seen.statuses).toEqual(["registered"]);
    expect(bench.writes(KEY)).toBe(1);
  });
});

describe.each(["frozen", "refused", "killed"])("Registration: while etcd is %s", (fault) => {
  const start = (): void => {
    if (fault === "frozen") bench.memory.freeze();
    else if (fault === "killed") bench.memory.kill();
    else {
      bench.memory.cut();
      bench.memory.refuse();
    }
  };
  const stop = (): void => {
    bench.memory.thaw();
    if (fault === "killed") bench.memory.restart();
    else bench.memory.accept();
  };

  it("stays registered for less than the TTL, and writes nothing (R14)", async () => {
    const registration = await begin();
    await bench.clock.advance(7_000);
    const seen = recordStates(registration);
    start();
    await bench.clock.advance(8_000);
    stop();
    await bench.clock.advance(MINUTE);
    expect(seen.statuses).toEqual(["registered"]);
    expect(bench.writes(KEY)).toBe(1);
    expect(bench.memory.callsOf("grant")).toHaveLength(1);
  });

  it("is lost from the moment at which the deadline passes, and says why (R10)", async () => {
    const registration = await begin();
    await bench.clock.advance(17_000);
    const sentAt = bench.memory.callsOf("renew").at(-1)?.at ?? 0;
    start();
    await bench.clock.advance(sentAt + 15_000 - 1 - bench.clock.now());
    expect(registration.state.status).toBe("registered");
    await bench.clock.advance(1);
    expect(registration.state).toMatchObject({
      status: "lost",
      reason: "lease-overdue",
      error: { code: "SD_UNAVAILABLE" },
    });
    let changes = 0;
    registration.subscribe(() => {
      changes += 1;
    });
    await bench.clock.advance(60_000);
    expect(changes, "in a minute of the same").toBeLessThanOrEqual(4);
    stop();
    await bench.run(registration.close(), 3_000);
  });

  it("tries again within 1 s after a call that took its 5 s in vain, however often (R13)", async () => {
    bench.memory.freeze();
    const registration = startRegistration(bench.client, web);
    await bench.clock.advance(10 * MINUTE);
    const times = bench.memory.callsOf("grant").map(({ at }) => at);
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(gaps.length).toBeGreaterThan(90);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(6_000);
    // Spread all the same: who failed together does not come back together.
    expect(Math.max(...gaps) - Math.min(...gaps)).toBeGreaterThan(500);
    bench.memory.thaw();
    await bench.run(registration.ready(), 1_000);
  });

  it("is back after a long outage, within the backoff cap and a little (R13)", async () => {
    const registration = await begin();
    const seen = recordStates(registration);
    start();
    await bench.clock.advance(10 * MINUTE);
    expect(registration.state.status).toBe("lost");
    stop();
    await bench.clock.advance(BACK_MS);
    expect(seen.statuses).toEqual(["registered", "lost", "registered"]);
    verified(registration);
    // A killed etcd gives its leases their full TTL: there is nothing to write (R14).
    if (fault === "killed") expect(bench.history(KEY)).toEqual(["localhost:8000"]);
    else expect(bench.history(KEY)).toEqual(["localhost:8000", undefined, "localhost:8000"]);
    expect(bench.memory.callsOf("grant").length).toBe(fault === "killed" ? 1 : 2);
  });
});

describe("Registration: after an outage", () => {
  it("notices what was done to its key meanwhile, compaction included", async () => {
    const registration = await begin();
    bench.memory.cut();
    bench.memory.refuse();
    bench.memory.delete(KEY);
    for (let index = 0; index < 5; index++) bench.memory.put("/other", `${index}`);
    bench.memory.compact(bench.memory.revision);
    await bench.clock.advance(3_000);
    bench.memory.accept();
    await bench.clock.advance(BACK_MS);
    verified(registration);
    expect(bench.memory.callsOf("grant")).toHaveLength(1);
  });

  it("registers anew at an etcd that lost its data", async () => {
    const registration = await begin();
    bench.memory.put("/other", "1");
    bench.memory.wipe();
    await bench.clock.advance(BACK_MS);
    verified(registration);
    expect(bench.history(KEY)).toEqual(["localhost:8000"]);
    await bench.clock.advance(5 * MINUTE);
    expect(bench.writes(KEY)).toBe(1);
  });

  it("puts its key back at an etcd that has its lease, and lost the key: at a lower revision", async () => {
    const registration = await begin();
    const lease = leaseId(bench.memory.get(KEY)?.lease ?? 0n);
    // As a snapshot has it that was taken between the two.
    bench.memory.wipe();
    const restored = bench.memory.transport();
    await bench.run(restored.grant({ id: lease, ttlSeconds: 15 }));
    await bench.run(restored.close());
    await bench.clock.advance(BACK_MS);
    verified(registration);
    expect(bench.memory.get(KEY)).toMatchObject({ lease, modRevision: 2 });
  });

  it("yields to one who took the key meanwhile", async () => {
    const registration = await begin();
    bench.memory.freeze();
    await bench.clock.advance(MINUTE);
    bench.memory.put(KEY, "other:1");
    bench.memory.thaw();
    await bench.clock.advance(BACK_MS);
    expect(registration.state.status).toBe("conflict");
    expect(bench.textOf(KEY)).toBe("other:1");
  });

  it("two registrations of one client, a moment apart, are both lost and both back", async () => {
    const first = await begin();
    await bench.clock.advance(30);
    const second = await bench.run(register(bench.client, { ...web, id: "node2" }));
    bench.memory.cut();
    bench.memory.refuse();
    await bench.clock.advance(MINUTE);
    expect([first.state.status, second.state.status]).toEqual(["lost", "lost"]);
    bench.memory.accept();
    await bench.clock.advance(BACK_MS);
    expect([first.state.status, second.state.status]).toEqual(["registered", "registered"]);
  });

  it("does not put a herd on one moment (R17)", async () => {
    const clients = Array.from({ length: 30 }, () => bench.newClient());
    const work = clients.map((client, index) => register(client, { ...web, id: `node${index}` }));
    await bench.run(Promise.all(work));
    bench.memory.cut();
    bench.memory.refuse();
    await bench.clock.advance(MINUTE);
    bench.memory.clearCalls();
    bench.memory.accept();
    await bench.clock.advance(BACK_MS);
    const times = new Set(bench.memory.callsOf("txn").map(({ at }) => Math.round(at / 10)));
    expect(times.size).toBeGreaterThan(20);
    expect(bench.memory.callsOf("txn").length).toBeLessThanOrEqual(40);
  });
});

describe("Registration: refused by etcd", () => {
  const refusals: [string, Error][] = [
    ["a full store", etcdError(8, "etcdserver: mvcc: database space exceeded")],
    ["a missing permission", etcdError(7, "etcdserver: permission denied")],
  ];
  it.each(refusals)("tries about every 30 s against %s, says why, and is back then", async (_, error) => {
    const fault = new Fault();
    fault.error = error;
    const client = bench.newClient({ wrap: fault.wrap });
    const registration = startRegistration(client, web);
    await bench.clock.advance(10 * MINUTE);
    expect(registration.state).toMatchObject({ status: "registering", error });
    expect(fault.failed).toBeGreaterThanOrEqual(600 / 36);
    expect(fault.failed).toBeLessThanOrEqual(600 / 24 + 1);
    fault.error = undefined;
    await bench.run(registration.ready(), 36_000);
    verified(registration);
  });
});
