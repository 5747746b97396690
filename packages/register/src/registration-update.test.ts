import { SdError } from "@sd/core";
import { recordStates } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { etcdError, Fault } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import { register, registerKey, startRegistration } from "./register.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const KEY = "/web/node1";
const web = { service: "web", id: "node1", address: "localhost:8000", ttlSeconds: 5 };
const written = (): unknown => JSON.parse(bench.textOf(KEY) ?? "null");
const failure = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

describe("Registration.update()", () => {
  it("keeps the lease and the creation, without an absent moment (R11)", async () => {
    const registration = await bench.run(register(bench.client, web));
    const before = bench.memory.get(KEY);
    const seen = recordStates(registration);
    await bench.run(registration.update({ weight: 5 }));
    const after = bench.memory.get(KEY);
    expect(written()).toEqual({ address: "localhost:8000", weight: 5 });
    expect(after).toMatchObject({ lease: before?.lease, createRevision: before?.createRevision });
    expect(bench.history(KEY)).toHaveLength(2);
    expect(registration.state).toMatchObject({ status: "registered", revision: after?.modRevision });
    expect(seen.statuses).toEqual(["registered"]);
  });

  it("removes a field that is given as undefined, and leaves the others alone", async () => {
    const registration = await bench.run(register(bench.client, { ...web, weight: 5, zone: "a" }));
    await bench.run(registration.update({ weight: undefined }));
    expect(written()).toEqual({ address: "localhost:8000", zone: "a" });
    await bench.run(registration.update({ zone: undefined }));
    expect(bench.textOf(KEY)).toBe("localhost:8000");
  });

  it("changes nothing when a value is wrong", async () => {
    const registration = await bench.run(register(bench.client, web));
    for (const update of [{ weight: -1 }, { address: "nowhere" }, { address: undefined }]) {
      const error = await failure(registration.update(update));
      expect(SdError.is(error, "SD_INVALID_ARGUMENT")).toBe(true);
    }
    await bench.clock.advance(20_000);
    expect(bench.history(KEY)).toEqual(["localhost:8000"]);
    await bench.run(registration.update({ zone: "a" }));
    expect(written()).toEqual({ address: "localhost:8000", zone: "a" });
  });

  it("resolves each of several at once, when etcd has the last", async () => {
    const registration = await bench.run(register(bench.client, web));
    const work = [1, 2, 3, 4, 5].map((weight) => registration.update({ weight }));
    await bench.run(Promise.all(work));
    expect(written()).toEqual({ address: "localhost:8000", weight: 5 });
    expect(bench.writes(KEY)).toBeLessThanOrEqual(3);
  });

  it("does not lose one that comes while another is being written", async () => {
    for (let step = 0; step < 60; step++) {
      await bench.end();
      bench = new Harness();
      const registration = await bench.run(register(bench.client, web));
      const first = registration.update({ weight: 1 });
      for (let count = 0; count < step; count++) await Promise.resolve();
      await bench.run(Promise.all([first, registration.update({ zone: "b" })]));
      expect(written()).toEqual({ address: "localhost:8000", weight: 1, zone: "b" });
    }
  });

  it("is written with the registration when it comes while that is under way", async () => {
    for (let step = 0; step < 60; step++) {
      await bench.end();
      bench = new Harness();
      const registration = startRegistration(bench.client, web);
      for (let count = 0; count < step; count++) await Promise.resolve();
      await bench.run(registration.update({ weight: 2 }));
      expect(written()).toEqual({ address: "localhost:8000", weight: 2 });
      expect(registration.state.status).toBe("registered");
    }
  });

  it("is read back when the answer is lost: one write (R5)", async () => {
    const registration = await bench.run(register(bench.client, web));
    bench.memory.loseNextAnswer("txn");
    await bench.run(registration.update({ weight: 5 }), 1_000);
    expect(bench.writes(KEY)).toBe(2);
    expect(registration.state).toMatchObject({ revision: bench.memory.get(KEY)?.modRevision });
  });

  it("is not held up, one of many, by the transaction that was lost for all of them", async () => {
    const fault = new Fault();
    const client = bench.newClient({ wrap: fault.wrap });
    const ids = Array.from({ length: 128 }, (_, index) => `${index}`);
    const all = await bench.run(Promise.all(ids.map((id) => register(client, { ...web, id }))));
    fault.error = etcdError(4, "deadline exceeded");
    const updates = Promise.all(all.map((each) => each.update({ weight: 5 })));
    await bench.clock.settle();
    fault.error = undefined;
    await bench.run(updates, 1_000);
    expect([fault.failed, bench.clock.now() < 1_000]).toEqual([1, true]);
  });

  it("waits while the registration is lost, and comes with the next", async () => {
    const registration = await bench.run(register(bench.client, web));
    bench.memory.cut();
    bench.memory.refuse();
    await bench.clock.advance(6_000);
    expect(registration.state.status).toBe("lost");
    const update = registration.update({ weight: 7 });
    await bench.clock.advance(6_000);
    bench.memory.accept();
    await bench.run(update, 10_000);
    expect(written()).toEqual({ address: "localhost:8000", weight: 7 });
    expect(registration.state.status).toBe("registered");
  });

  it("waits in a conflict, does not write to another's key, and comes when it is free", async () => {
    bench.memory.put(KEY, "other:1");
    const registration = startRegistration(bench.client, web);
    await bench.clock.settle();
    const update = registration.update({ weight: 7 });
    await bench.clock.advance(10_000);
    expect(bench.history(KEY)).toEqual(["other:1"]);
    bench.memory.delete(KEY);
    await bench.run(update, 5_000);
    expect(written()).toEqual({ address: "localhost:8000", weight: 7 });
  });

  it("does not overwrite one who took the key a moment before", async () => {
    const registration = await bench.run(register(bench.client, web));
    bench.memory.holdWatchEvents();
    bench.memory.put(KEY, "other:1");
    const update = failure(registration.update({ weight: 7 }));
    await bench.clock.advance(2_000);
    bench.memory.releaseWatchEvents();
    await bench.clock.advance(2_000);
    expect(registration.state.status).toBe("conflict");
    expect(bench.textOf(KEY)).toBe("other:1");
    await bench.run(registration.close());
    expect(SdError.is(await update, "SD_CLOSED")).toBe(true);
  });

  it("ends with its signal's reason, and rejects with SD_CLOSED after close()", async () => {
    const registration = await bench.run(register(bench.client, web));
    expect(await failure(registration.update({ weight: 1 }, { signal: AbortSignal.abort("no") }))).toBe("no");
    bench.memory.freeze();
    const controller = new AbortController();
    const update = failure(registration.update({ weight: 2 }, { signal: controller.signal }));
    await bench.clock.settle();
    controller.abort("enough");
    expect(await update).toBe("enough");
    bench.memory.thaw();
    await bench.run(registration.close());
    expect(SdError.is(await failure(registration.update({ weight: 3 })), "SD_CLOSED")).toBe(true);
  });

  it("replaces the value of a bare key", async () => {
    const registration = await bench.run(registerKey(bench.client, { key: KEY, value: "a" }));
    await bench.run(registration.update(Uint8Array.of(0x62)));
    expect(bench.history(KEY)).toEqual(["a", "b"]);
  });
});
