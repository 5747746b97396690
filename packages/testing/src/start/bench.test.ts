import { describe, expect, it } from "vitest";
import { Bench } from "./bench.js";

describe("Bench", () => {
  it("runs its clients on the time that the test moves", async () => {
    const bench = new Bench();
    const lease = await bench.run(bench.client.leases.grant({ ttlSeconds: 5 }));
    expect(bench.clock.now()).toBe(0);
    bench.disconnect();
    const granted = bench.newClient().leases.grant({ ttlSeconds: 5 });
    await expect(bench.run(granted.catch(String))).resolves.toContain("ECONNREFUSED");
    await bench.clock.advance(5_000);
    expect(lease.state.status).toBe("lost");
    bench.connect();
    await bench.end();
  });

  it("gives up work that takes longer than it may", async () => {
    const bench = new Bench();
    bench.memory.freeze();
    const granted = bench.client.leases.grant({ ttlSeconds: 5 }).catch(String);
    await expect(bench.run(granted, 1_000)).rejects.toThrow("not settled within 1000 ms");
    expect(bench.clock.now()).toBeLessThanOrEqual(1_000);
    await bench.end();
  });

  it("finds a timer and a stream that are left", async () => {
    const bench = new Bench();
    const timer = bench.clock.setTimer(60_000, () => {});
    await bench.memory.transport().watch({ onMessage: () => {}, onEnd: () => {} });
    await expect(bench.end()).rejects.toThrow("left open: 1 streams and 1 timers");
    timer[Symbol.dispose]();
  });
});
