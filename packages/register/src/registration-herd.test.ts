import type { createClient } from "@sd/core";
import { SeededRandom } from "@sd/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { etcdError, Fault } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import { startKeyRegistration } from "./register.js";
import type { Registration } from "./registration.js";

const COUNT = 300;
let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

function startMany(client: () => ReturnType<typeof createClient>): Registration<never>[] {
  return Array.from({ length: COUNT }, (_, index) =>
    startKeyRegistration(client(), { key: `/herd/${index}`, value: "x", ttlSeconds: 15 }),
  );
}

const registered = (all: readonly Registration<never>[]): number =>
  all.filter(({ state }) => state.status === "registered").length;

describe("a herd of registrations (R17)", () => {
  it.each([2, 60])(
    "F68 herd: 300 processes come back spread, after etcd was down for %i s",
    async (downS) => {
      const all = startMany(() => harness.newClient());
      const { clock, memory } = harness;
      await clock.advance(10_000);
      expect(registered(all)).toBe(COUNT);
      memory.kill();
      await clock.advance(downS * 1_000);
      memory.restart();
      const backAt = clock.now();
      await clock.advance(10_000);
      expect(registered(all)).toBe(COUNT);
      expect(memory.events, "the leases survived: nothing is written (R14)").toHaveLength(COUNT);
      const opened = memory
        .callsOf("keepAlive")
        .map(({ at }) => at)
        .filter((at) => at >= backAt)
        .sort((a, b) => a - b);
      expect(opened.length / COUNT, "amplification").toBeLessThanOrEqual(1.1);
      const spreadMs = (opened[COUNT * 0.95] ?? 0) - (opened[COUNT * 0.05] ?? 0);
      expect(spreadMs).toBeGreaterThan(downS > 2 ? 1_000 : 300);
    },
  );

  it("F61 too many requests: 300 on one client try about every other second, and are soon back", async () => {
    const fault = new Fault();
    const client = harness.newClient({ random: new SeededRandom(7), wrap: fault.wrap });
    fault.error = etcdError(8, "etcdserver: too many requests");
    const all = startMany(() => client);
    const { clock } = harness;
    await clock.advance(5_000);
    const failedBefore = fault.failed;
    await clock.advance(60_000);
    expect(fault.failed - failedBefore, "retries in a minute").toBeLessThanOrEqual(2 * 31);
    fault.error = undefined;
    await clock.advance(6_000);
    expect(registered(all)).toBe(COUNT);
  });

  it("F60 no space: all are back within 36 s of its end, though each retries slowly", async () => {
    const fault = new Fault();
    const client = harness.newClient({ random: new SeededRandom(7), wrap: fault.wrap });
    fault.error = etcdError(8, "etcdserver: mvcc: database space exceeded");
    const all = startMany(() => client);
    const { clock } = harness;
    await clock.advance(100_000);
    fault.error = undefined;
    await clock.advance(37_000);
    expect(registered(all)).toBe(COUNT);
  });

  it("takes new leases for all after etcd was wiped, with hardly more than one grant and one write each", async () => {
    const all = startMany(() => harness.client);
    const { clock, memory } = harness;
    await clock.advance(10_000);
    const callsBefore = memory.callsOf("grant").length + memory.callsOf("txn").length;
    memory.wipe();
    await clock.advance(15_000);
    expect(registered(all)).toBe(COUNT);
    const calls = memory.callsOf("grant").length + memory.callsOf("txn").length - callsBefore;
    // Where the key is missed before the lease, one write is tried with the old lease.
    expect(calls / (2 * COUNT)).toBeLessThanOrEqual(1.2);
  });
});
