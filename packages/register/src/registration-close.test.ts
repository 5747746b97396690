import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { SdError } from "@sd/core";
import { recordStates } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { register, startRegistration } from "./register.js";

const KEY = "/web/node1";
const web = { service: "web", id: "node1", address: "localhost:8000", ttlSeconds: 5 };
const MINUTE = 60_000;

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

describe("Registration.close()", () => {
  it("revokes the lease and nothing else; the key is gone at the revision that it tells (R3, R9)", async () => {
    const registration = await bench.run(register(bench.client, web));
    const seen = recordStates(registration);
    const revocation = await bench.run(registration.close());
    expect(revocation).toEqual({ confirmed: true, revision: bench.memory.revision });
    expect(bench.textOf(KEY)).toBeUndefined();
    expect(bench.memory.leases).toEqual([]);
    expect(bench.memory.callsOf("revoke")).toHaveLength(1);
    expect(bench.memory.callsOf("txn").every(({ request }) => request.success[0]?.type === "put")).toBe(true);
    expect(seen.statuses).toEqual(["registered", "draining", "deregistered"]);
    expect(registration.state).toEqual({ status: "deregistered", confirmed: true });
    expect(bench.clock.pending).toBe(0);
    expect(bench.memory.openStreams).toBe(0);
  });

  it("never deletes another's key (R3), noticed or not", async () => {
    const registration = await bench.run(register(bench.client, web));
    bench.memory.holdWatchEvents();
    bench.memory.put(KEY, "other:1");
    expect(registration.state.status).toBe("registered");
    await bench.run(registration.close());
    expect(bench.textOf(KEY)).toBe("other:1");
    const other = startRegistration(bench.client, web);
    await bench.clock.settle();
    expect(other.state.status).toBe("conflict");
    await bench.run(other.close());
    expect(bench.textOf(KEY)).toBe("other:1");
    bench.memory.releaseWatchEvents();
  });

  it("is idempotent: the same promise, at any time", async () => {
    const registration = await bench.run(register(bench.client, web));
    const first = registration.close();
    expect(registration.close()).toBe(first);
    await bench.run(first);
    expect(registration.close()).toBe(first);
    await registration[Symbol.asyncDispose]();
    expect(bench.memory.callsOf("revoke")).toHaveLength(1);
  });

  it("gives a listener that closes as well the same promise", async () => {
    const registration = await bench.run(register(bench.client, web));
    const promises: Promise<unknown>[] = [];
    registration.subscribe(() => promises.push(registration.close()));
    const first = registration.close();
    await bench.run(first);
    expect(promises).toEqual([first, first]);
    for (const promise of promises) expect(promise).toBe(first);
  });

  it("confirms without a revision when the lease had ended before", async () => {
    const registration = await bench.run(register(bench.client, web));
    bench.memory.holdWatchEvents();
    bench.memory.revokeLease(bench.memory.leases[0] ?? 0n);
    expect(await bench.run(registration.close())).toEqual({ confirmed: true, revision: undefined });
    bench.memory.releaseWatchEvents();
  });

  it("tries again when the answer is lost", async () => {
    const registration = await bench.run(register(bench.client, web));
    bench.memory.loseNextAnswer("revoke");
    expect(await bench.run(registration.close(), 1_000)).toMatchObject({ confirmed: true });
  });

  it("does not wait for an update that is under way (R9)", async () => {
    const registration = await bench.run(register(bench.client, { ...web, closeTimeoutMs: 800 }));
    bench.memory.freeze();
    const update = registration.update({ address: "localhost:9000" }).catch((error: unknown) => error);
    await bench.clock.settle();
    expect(bench.memory.callsOf("txn")).toHaveLength(2);
    const startedAt = bench.clock.now();
    expect(await bench.run(registration.close(), 800)).toMatchObject({ confirmed: false });
    expect(bench.clock.now() - startedAt).toBe(800);
    expect(await update).toMatchObject({ code: "SD_CLOSED" });
    bench.memory.thaw();
  });

  it.each(["frozen", "refused"])("is bounded by closeTimeoutMs while etcd is %s (R9)", async (fault) => {
    const registration = await bench.run(register(bench.client, { ...web, closeTimeoutMs: 800 }));
    if (fault === "frozen") bench.memory.freeze();
    else bench.memory.kill();
    const startedAt = bench.clock.now();
    const revocation = await bench.run(registration.close(), 800);
    expect(bench.clock.now() - startedAt).toBe(800);
    expect(revocation).toMatchObject({ confirmed: false, cause: expect.anything() });
    expect(registration.state).toEqual({ status: "deregistered", confirmed: false });
    bench.memory.thaw();
    bench.memory.restart();
    await bench.clock.advance(5_000);
    expect(bench.history(KEY)).toEqual(["localhost:8000", undefined]);
  });

  it("rejects ready() and register() with SD_CLOSED when it comes first", async () => {
    bench.memory.refuse();
    const registration = startRegistration(bench.client, web);
    const ready = registration.ready().catch((error: unknown) => error);
    await bench.clock.advance(1_000);
    await bench.run(registration.close());
    expect(SdError.is(await ready, "SD_CLOSED")).toBe(true);
    const late = registration.ready().catch((error: unknown) => error);
    expect(SdError.is(await late, "SD_CLOSED")).toBe(true);
    expect(bench.clock.pending).toBe(0);
  });

  it("is called by the client's close(), which deregisters", async () => {
    const registration = await bench.run(register(bench.client, web));
    await bench.run(bench.client.close());
    expect(registration.state).toEqual({ status: "deregistered", confirmed: true });
    expect(bench.textOf(KEY)).toBeUndefined();
    expect(bench.memory.openStreams).toBe(0);
    expect(bench.clock.pending).toBe(0);
  });

  it("lets a key that was given back be registered again at once", async () => {
    const registration = await bench.run(register(bench.client, web));
    await bench.run(registration.close());
    const next = await bench.run(register(bench.client, { ...web, address: "localhost:9000" }));
    expect(next.state.status).toBe("registered");
  });
});

/** What may be wrong with etcd while a registration begins. */
const faults: [name: string, begin: (bench: Harness) => void, atClose: (bench: Harness) => void][] = [
  ["nothing wrong", () => {}, () => {}],
  ["the grant's answer lost", ({ memory }) => memory.loseNextAnswer("grant"), () => {}],
  ["the claim's answer lost", ({ memory }) => memory.loseNextAnswer("txn"), () => {}],
  ["a foreign key", ({ memory }) => memory.put("/web/node1", "localhost:8000"), () => {}],
  ["etcd frozen then", () => {}, ({ memory }) => memory.freeze()],
  ["connections cut then", () => {}, ({ memory }) => memory.cut()],
  ["etcd killed then", () => {}, ({ memory }) => memory.kill()],
];

describe.each(faults)(
  "Registration.close() at any step of a beginning, with %s (R5, R9)",
  (_, begin, atClose) => {
    it("resolves in time, and no key of ours stays or comes back", async () => {
      let isRegistered = false;
      for (let step = 0; !isRegistered && step < 120; step++) {
        await bench.end();
        bench = new Harness();
        begin(bench);
        const registration = startRegistration(bench.client, web);
        for (let count = 0; count < step; count++) await Promise.resolve();
        // By then what needs no time is done, and only a retry is to come.
        if (step > 60) await bench.clock.advance(10 * (step - 60));
        isRegistered = registration.state.status === "registered";
        atClose(bench);
        const { confirmed } = await bench.run(registration.close(), 3_000);
        const writes = bench.writes(KEY);
        if (confirmed) expect(bench.memory.get(KEY)?.lease ?? 0n).toBe(0n);
        bench.memory.thaw();
        bench.memory.restart();
        await bench.clock.advance(MINUTE);
        if (confirmed) expect(bench.writes(KEY)).toBe(writes);
        expect(bench.memory.get(KEY)?.lease ?? 0n).toBe(0n);
        expect(bench.memory.leases).toEqual([]);
      }
      expect(isRegistered).toBe(true);
    });
  },
);

describe("Registration: a listener that throws", () => {
  it("harms nobody", async () => {
    const heard: unknown[] = [];
    const hear = (message: unknown): void => void heard.push(message);
    subscribe("sd:listener:failed", hear);
    const registration = startRegistration(bench.client, web);
    registration.subscribe(() => {
      throw undefined;
    });
    const seen = recordStates(registration);
    await bench.run(registration.ready());
    bench.memory.delete(KEY);
    await bench.clock.advance(2_000);
    await bench.run(registration.close());
    unsubscribe("sd:listener:failed", hear);
    expect(seen.statuses).toEqual([
      "registering",
      "registered",
      "lost",
      "registered",
      "draining",
      "deregistered",
    ]);
    expect(heard).toHaveLength(5);
  });
});
