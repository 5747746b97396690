import { fixedRandom, ManualClock, type MemoryEtcd } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { type ClientFixture, openClient } from "../../test/client-fixture.js";
import { bytes } from "../../test/observe.js";
import { RecordingStore } from "../../test/recorders.js";
import { event, message, ScriptedTransport } from "../../test/scripted-transport.js";
import { prefixRange } from "./key-range.js";
import { Reflector } from "./reflector.js";
import { WatchHub } from "./watch-hub.js";

/** A reflector over a small etcd, and what the store was told after `close()` was called. */
function start(
  trouble: (etcd: MemoryEtcd) => void = () => {},
): ClientFixture & { readonly reflector: Reflector; readonly store: RecordingStore } {
  const fixture = openClient();
  fixture.etcd.put("/web/a", "1");
  trouble(fixture.etcd);
  const store = new RecordingStore();
  const reflector = new Reflector(fixture.client, { range: prefixRange(bytes("/web/")), store });
  return { ...fixture, reflector, store };
}

describe("Reflector.close", () => {
  it("ends everything at whichever step it comes: nothing is delivered after it (D19)", async () => {
    // So many microtasks lie between the first request and the first event; each is a moment to close in.
    for (let steps = 0; steps < 80; steps += 1) {
      const { clock, etcd, reflector, store, end } = start();
      for (let step = 0; step < steps; step += 1) {
        if (step === steps - 6) etcd.put("/web/b", "2");
        await Promise.resolve();
      }
      const before = store.calls.length;
      const closing = reflector.close();
      expect(reflector.state.status).toBe("closed");
      etcd.put("/web/c", "3");
      await closing;
      await clock.settle();
      expect([steps, store.calls.length]).toEqual([steps, before]);
      expect([steps, clock.pending, etcd.openStreams]).toEqual([steps, 0, 0]);
      await end();
    }
  });

  it.each<[string, (etcd: MemoryEtcd) => void, ms: number]>([
    ["while the list waits for a frozen etcd", (etcd) => etcd.freeze(), 1_000],
    ["between two tries to list", (etcd) => etcd.refuse(), 2_000],
  ])("ends everything %s (D19)", async (_moment, trouble, ms) => {
    const { clock, etcd, reflector, store, end } = start(trouble);
    await clock.advance(ms);
    expect(etcd.callsOf("range").length).toBeGreaterThan(0);
    await reflector.close();
    expect([clock.pending, etcd.openStreams]).toEqual([0, 0]);
    etcd.thaw();
    etcd.accept();
    await clock.advance(60_000);
    expect(store.calls).toEqual([]);
    await end();
  });

  it.each<[string, (etcd: MemoryEtcd) => void, ms: number]>([
    ["while it waits for `created`", (etcd) => etcd.freeze(), 9_100],
    ["between two streams", (etcd) => etcd.kill(), 2_000],
    ["during the second look at a lower revision", (etcd) => etcd.wipe(), 2_000],
  ])("ends everything %s, with its client (D19)", async (_moment, trouble, ms) => {
    const { clock, etcd, client, reflector, store, end } = start();
    await clock.settle();
    trouble(etcd);
    await clock.advance(ms);
    const before = store.calls.length;
    await reflector.close();
    await client.watches.close();
    expect([clock.pending, etcd.openStreams]).toEqual([0, 0]);
    etcd.thaw();
    etcd.accept();
    await clock.advance(60_000);
    expect(store.calls).toHaveLength(before);
    await end();
  });

  it("is the end: called again it only waits, and the state stays closed", async () => {
    const { clock, reflector, store, end } = start();
    await clock.settle();
    await Promise.all([reflector.close(), reflector.close(), reflector[Symbol.asyncDispose]()]);
    expect(reflector.state).toEqual({ status: "closed" });
    expect(store.content).toEqual({ "/web/a": "1" });
    await end();
  });

  it("hears nothing more of its stream, not even what comes before the stream is left (D19)", async () => {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    const random = fixedRandom(0.5);
    const watches = new WatchHub(transport, clock, random);
    const store = new RecordingStore();
    const range = prefixRange(bytes("/web/"));
    const reflector = new Reflector({ transport, watches, clock, random }, { range, store, revision: 10 });
    await clock.settle();
    const closing = reflector.close();
    transport.watchStream.say(message(0, 11, { created: true }));
    transport.watchStream.say(message(0, 11, { events: [event("/web/a", 11, "x")] }));
    expect(transport.watchStream.canceled).toEqual({ suspect: false });
    await closing;
    expect(store.calls).toEqual([]);
    expect(reflector.state.status).toBe("closed");
    await watches.close();
    expect(clock.pending).toBe(0);
  });
});
