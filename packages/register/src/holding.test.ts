import type { EtcdTransport } from "@sd/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { etcdError } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import { type KeyRegistration, registerKey } from "./register.js";
import type { RegistrationState } from "./registration-state.js";

const KEY = "/web/1";
let bench: Harness;

beforeEach(() => {
  bench = new Harness();
});
afterEach(() => bench.end());

const begin = (client = bench.client): Promise<KeyRegistration> =>
  bench.run(registerKey(client, { key: KEY, value: "v0", ttlSeconds: 15 }), 100);

/** A transport that fails some writes, as long as `refusal` says so. */
function refusing(refusal: (value: string) => unknown) {
  return (inner: EtcdTransport): Partial<EtcdTransport> => ({
    async txn(request, options) {
      for (const operation of request.success) {
        const error = operation.type === "put" ? refusal(Buffer.from(operation.value).toString()) : undefined;
        if (error) throw error;
      }
      return inner.txn(request, options);
    },
  });
}

describe("a held key", () => {
  it("takes updates one after the other at full speed, though its watch lags behind their answers", async () => {
    const registration = await begin();
    for (let round = 1; round <= 20; round++) {
      bench.memory.holdWatchEvents();
      await bench.run(registration.update(`a${round}`));
      const next = registration.update(`b${round}`);
      // Only now does the watch tell of the update before.
      bench.memory.releaseWatchEvents();
      await bench.run(next);
    }
    expect(bench.clock.now(), "no virtual time has passed").toBeLessThan(200);
    expect(bench.writes(KEY)).toBe(41);
  });

  it("is given up as soon as an update finds another's entry, before its watch tells", async () => {
    const registration = await begin();
    bench.memory.holdWatchEvents();
    const lease = await bench.run(bench.client.leases.grant({ ttlSeconds: 600 }));
    bench.memory.put(KEY, "theirs", { lease: lease.id });
    const update = registration.update("v1").catch(() => {});
    await bench.clock.settle();
    expect(registration.state).toMatchObject({ status: "conflict", owner: { leaseId: lease.id } });
    bench.memory.releaseWatchEvents();
    await registration.close();
    await update;
    expect(bench.textOf(KEY)).toBe("theirs");
    lease.release();
  });

  it("is not lost by a deletion that a later update of ours has made history", async () => {
    const registration = await begin();
    const seen: string[] = [];
    registration.subscribe(({ status }) => seen.push(status));
    bench.memory.holdWatchEvents();
    bench.memory.delete(KEY);
    await bench.run(registration.update("v1"));
    bench.memory.releaseWatchEvents();
    await bench.clock.advance(5_000);
    expect(seen).toEqual(["registered"]);
    expect(bench.history(KEY)).toEqual(["v0", undefined, "v1"]);
  });

  it("stays held when etcd refuses an update for good: that one fails, and nothing has changed", async () => {
    const refusal = etcdError(3, "etcdserver: request is too large");
    const client = bench.newClient({ wrap: refusing((value) => value === "large" && refusal) });
    const registration = await begin(client);
    await expect(bench.run(registration.update("large"))).rejects.toMatchObject({
      code: "SD_INVALID_ARGUMENT",
    });
    expect(registration.state.status).toBe("registered");
    bench.memory.delete(KEY);
    await bench.clock.advance(1_500);
    expect(bench.textOf(KEY), "still watched over (R8)").toBe("v0");
    await bench.run(registration.update("small"));
    expect(bench.textOf(KEY)).toBe("small");
  });

  it("shows why an update is not written yet, stays watched over, and writes it at last", async () => {
    let isDown = true;
    const failure = etcdError(14, "etcdserver: request timed out");
    const client = bench.newClient({ wrap: refusing((value) => isDown && value === "v1" && failure) });
    const registration = await begin(client);
    const states: RegistrationState[] = [];
    registration.subscribe((state) => states.push(state));
    const update = registration.update("v1");
    await bench.clock.advance(20_000);
    expect(states.at(-1)).toMatchObject({ status: "registered", error: { code: "SD_UNAVAILABLE" } });
    bench.memory.delete(KEY);
    await bench.clock.settle();
    expect(states.at(-1)).toMatchObject({ status: "lost", reason: "key-deleted" });
    isDown = false;
    await bench.run(update, 10_000);
    expect(registration.state).not.toHaveProperty("error");
    expect(bench.textOf(KEY)).toBe("v1");
  });

  it("is registered anew, not in conflict, when it meets an entry under an earlier lease of its own", async () => {
    const registration = await begin();
    const [old] = bench.memory.leases;
    const lease = registration.state.status === "registered" ? registration.state.leaseId : 0n;
    expect(old).toBeDefined();
    bench.memory.expireLease(lease);
    await bench.clock.advance(3_000);
    const second = registration.state.status === "registered" ? registration.state.leaseId : 0n;
    expect(second).not.toBe(lease);
    // As after a restore of etcd: the lease and the entry of before are back.
    await bench.run(bench.client.transport.grant({ id: lease, ttlSeconds: 600 } as never));
    bench.memory.put(KEY, "v0", { lease });
    await bench.clock.advance(5_000);
    expect(registration.state).toMatchObject({ status: "registered", leaseId: second });
  });
});
