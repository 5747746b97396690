import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { SdChannels } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { registerKey, startKeyRegistration } from "./register.js";

type Contested = SdChannels["sd:registration:contested"];

const CHANNEL = "sd:registration:contested";
const options = { key: "/web/a", value: "ours", ttlSeconds: 15 };

describe("a contested key (R7)", () => {
  let bench: Harness;
  const told: Contested[] = [];
  const listen = (message: unknown): void => void told.push(message as Contested);
  beforeEach(() => {
    bench = new Harness();
    told.length = 0;
    subscribe(CHANNEL, listen);
    return async () => {
      unsubscribe(CHANNEL, listen);
      await bench.end();
    };
  });

  it("is told once for each owner, an entry without a lease as such", async () => {
    await bench.run(registerKey(bench.client, options));
    bench.memory.put("/web/a", "theirs");
    await bench.clock.advance(10_000);
    expect(told).toEqual([{ key: "/web/a", leaseId: 0n, repairs: 0 }]);
    bench.memory.put("/web/a", "another's");
    await bench.clock.advance(10_000);
    expect(told).toHaveLength(2);
  });

  it("is told with the number of repairs when two overwrite each other", async () => {
    await bench.run(registerKey(bench.client, { ...options, onConflict: "takeover" }));
    for (let times = 0; times < 10; times += 1) {
      bench.memory.put("/web/a", "theirs");
      await bench.clock.advance(31_000);
    }
    expect(told.map(({ repairs }) => repairs)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  describe("by two that take it over from each other", () => {
    const takeover = { ...options, onConflict: "takeover" } as const;
    const writesIn = async (durationMs: number): Promise<number> => {
      const before = bench.writes("/web/a");
      await bench.clock.advance(durationMs);
      return bench.writes("/web/a") - before;
    };

    it("is written ever more slowly, down to once in 30 s, and both say so", async () => {
      const pair = [bench.client, bench.newClient()].map((client) => startKeyRegistration(client, takeover));
      expect(await writesIn(4_000)).toBeGreaterThan(3);
      await bench.clock.advance(5 * 60_000);
      expect(await writesIn(10 * 60_000)).toBeLessThanOrEqual(20);
      expect(pair.map(({ state }) => state.status).sort()).toEqual(["conflict", "registered"]);
      expect(told.at(-1)?.repairs).toBeGreaterThan(8);
    });

    it("is the other's at once when one leaves", async () => {
      const pair = [bench.client, bench.newClient()].map((client) => startKeyRegistration(client, takeover));
      await bench.clock.advance(5 * 60_000);
      const owner = pair.find(({ state }) => state.status === "registered");
      const other = pair.find(({ state }) => state.status === "conflict");
      await bench.run(owner?.close() ?? Promise.reject(), 0);
      await bench.clock.advance(50);
      expect(other?.state.status).toBe("registered");
    });

    it("is taken over after 1 s again once it was held in peace", async () => {
      const registration = await bench.run(registerKey(bench.client, takeover));
      for (let times = 0; times < 10; times += 1) {
        bench.memory.put("/web/a", "theirs");
        await bench.clock.advance(31_000);
      }
      await bench.clock.advance(120_000);
      bench.memory.put("/web/a", "theirs");
      await bench.clock.advance(1_100);
      expect(registration.state.status).toBe("registered");
    });
  });
});
