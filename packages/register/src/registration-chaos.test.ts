import { SeededRandom } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { type InstanceRegistration, startRegistration } from "./register.js";
import { startAllRegistrations } from "./register-all.js";

const KEY = "/web/node1";
const web = { service: "web", id: "node1", ttlSeconds: 5 };

/** What has twenty faults in any order, and all well again at the end. */
async function storm(bench: Harness, random: SeededRandom): Promise<void> {
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
}

/** Three processes that want one key. */
function startRivals(bench: Harness, seed: number): InstanceRegistration[] {
  return ["h:1", "h:1", "h:2"].map((address, index) =>
    startRegistration(bench.newClient({ random: new SeededRandom(seed * 10 + index) }), { ...web, address }),
  );
}

describe("Registration: after any faults in any order", () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))(
    "has one owner, and rest (seed %i)",
    async (seed) => {
      const bench = new Harness();
      const registrations = startRivals(bench, seed);
      await storm(bench, new SeededRandom(seed));
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

  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))(
    "a group has all its keys but those of its rival, and rests (seed %i)",
    async (seed) => {
      const bench = new Harness();
      const { memory, clock } = bench;
      const instances = Array.from({ length: 24 }, (_, index) => ({
        ...{ service: "web", id: `node${index}`, address: `h:${index + 1}` },
      }));
      const group = startAllRegistrations(bench.client, { instances, ttlSeconds: 5 });
      const rivalClient = bench.newClient({ random: new SeededRandom(seed * 10) });
      const rival = startRegistration(rivalClient, { ...web, address: "rival:1" });
      await storm(bench, new SeededRandom(seed));
      await clock.advance(20_000);
      const { revision } = memory;
      await clock.advance(120_000);
      expect(memory.revision, "nothing is written").toBe(revision);
      for (const { key, state } of [...group.registrations, rival]) {
        const kv = memory.get(key);
        if (state.status === "conflict" && key === KEY) {
          // Wiped, etcd may come to the same revision again with another owner: only the comparison tells.
          expect(state.owner.modRevision).toBe(kv?.modRevision);
        } else {
          expect(state).toEqual({ status: "registered", leaseId: kv?.lease, revision: kv?.modRevision });
        }
      }
      expect([rival.state.status, group.registrations[1]?.state.status].sort()).toEqual([
        "conflict",
        "registered",
      ]);
      await bench.end();
    },
  );
});
