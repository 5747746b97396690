import { SeededRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { type InstanceRegistration, startRegistration } from "./register.js";

const KEY = "/web/node1";
const web = { service: "web", id: "node1", ttlSeconds: 5 };

/** Twenty faults in any order, on three processes that want one key; all is well again at the end. */
async function storm(bench: Harness, random: SeededRandom): Promise<InstanceRegistration[]> {
  const { memory, clock } = bench;
  const faults = [
    () => memory.cut(),
    () => memory.refuse(),
    () => memory.freeze(),
    () => memory.kill(),
    () => memory.dropNextRequest("txn"),
    () => memory.loseNextAnswer("txn"),
    () => memory.loseNextAnswer("grant"),
    () => memory.dropNextRequest("renew"),
    () => memory.delete(KEY),
    () => memory.leases.slice(0, 1).forEach((id) => void memory.expireLease(id)),
    () => memory.compact(memory.revision),
    () => memory.wipe(),
  ];
  const heal = (): void => {
    memory.thaw();
    memory.restart();
  };
  const registrations = ["h:1", "h:1", "h:2"].map((address, index) =>
    startRegistration(bench.newClient({ random: new SeededRandom(random.seed * 10 + index) }), {
      ...web,
      address,
    }),
  );
  for (let round = 0; round < 20; round++) {
    try {
      faults[random.below(faults.length)]?.();
    } catch {
      // Compacted twice: etcd refuses that.
    }
    await clock.advance(random.below(4_000));
    if (random.below(3) === 0) heal();
    await clock.advance(random.below(4_000));
  }
  heal();
  return registrations;
}

describe("Registration: after any faults in any order", () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))(
    "has one owner, and rest (seed %i)",
    async (seed) => {
      const bench = new Harness();
      const registrations = await storm(bench, new SeededRandom(seed));
      await bench.clock.advance(20_000);
      const writes = bench.writes(KEY);
      await bench.clock.advance(120_000);
      const statuses = registrations.map(({ state }) => state.status).sort();
      expect(statuses).toEqual(["conflict", "conflict", "registered"]);
      const owner = registrations.find(({ state }) => state.status === "registered");
      const kv = bench.memory.get(KEY);
      expect(owner?.state).toEqual({ status: "registered", leaseId: kv?.lease, revision: kv?.modRevision });
      expect(bench.writes(KEY)).toBe(writes);
      await bench.end();
    },
  );
});
