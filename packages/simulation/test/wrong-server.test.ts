import { discover, type ServiceDiscovery } from "@sd/discover";
import { type InstanceRegistration, register } from "@sd/register";
import { Bench, type ChangeRecording, recordChanges, recordStates } from "@sd/testing";
import "@sd/testing/vitest";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

let bench: Bench;
let server: InstanceRegistration;
let web: ServiceDiscovery;
let changes: ChangeRecording<ServiceDiscovery["snapshot"]["instances"][number]>;
beforeEach(async () => {
  bench = new Bench();
  server = await bench.run(register(bench.client, { service: "web", id: "node1", address: "h:1" }));
  web = await bench.run(discover(bench.newClient(), { service: "web" }));
  changes = recordChanges(web);
});
afterEach(() => bench.end());

/** Breaks all connections and gives both the time to come back. */
async function reconnect(ms = 10_000): Promise<void> {
  bench.memory.cut();
  await bench.clock.advance(ms);
}

// No real member can be made to do this at will.
describe("a registration and a discovery whose etcd is wrong, on MemoryEtcd", () => {
  it("F16 lagging member: stale reads take nothing back, write nothing, and begin no epoch", async () => {
    const { memory } = bench;
    const states = recordStates(server);
    memory.behave({ servesStaleReads: true });
    memory.put("/web/node2", "h:2");
    memory.put("/web/node2", "h:3");
    await bench.clock.settle();
    const shown = web.snapshot;
    await reconnect(2_000);
    expect(web.snapshot).toBe(shown);
    memory.behave({ servesStaleReads: false });
    await expect(web).toConverge(memory, { clock: bench.clock, withinMs: 10_000 });
    await bench.clock.advance(120_000);
    expect([web.snapshot.epoch, changes.log]).toEqual([1, ["+/web/node2", "~/web/node2"]]);
    expect(changes).toBeConsistent();
    expect(states.statuses).toEqual(["registered"]);
    expect(memory.events, "one of ours, two of the other").toHaveLength(3);
  });

  it("F16 F47 history replayed by a rejoining member: what was told is not told again, nothing is written", async () => {
    const { memory } = bench;
    for (let port = 2; port < 9; port += 1) memory.put("/web/node2", `h:${port}`);
    memory.delete("/web/node2");
    memory.put("/web/node3", "h:9");
    await bench.clock.settle();
    const told = [...changes.log];
    const { revision } = memory;
    memory.behave({ replaysHistory: true });
    for (let round = 0; round < 3; round += 1) await reconnect();
    expect(changes.log).toEqual(told);
    memory.put("/web/node3", "h:10");
    await reconnect();
    await expect(web).toConverge(memory, { clock: bench.clock, withinMs: 10_000 });
    expect(changes.log).toEqual([...told, "~/web/node3"]);
    expect(changes).toBeConsistent();
    expect([web.snapshot.epoch, memory.revision]).toEqual([1, revision + 1]);
    expect(server.state.status).toBe("registered");
  });
});
