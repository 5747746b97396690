import type { EtcdTransport, LeaseId } from "@sd/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { etcdError } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import { type InstanceGroup, registerAll, startAllRegistrations } from "./register-all.js";

const KEY = "/web/1";
const options = {
  instances: ["0", "1", "2"].map((id) => ({ service: "web", id, address: `host-${id}:80` })),
  ttlSeconds: 15,
};

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
});
afterEach(() => bench.end());

const begin = (): Promise<InstanceGroup> => bench.run(registerAll(bench.client, options));

describe("one of a group, closed by itself", () => {
  it("has its key deleted, guarded by the lease; the others stay as they are (R9)", async () => {
    const group = await begin();
    const revocation = await bench.run(group.registrations[1]?.close() ?? Promise.reject());
    expect(revocation).toEqual({ confirmed: true, revision: bench.memory.revision });
    expect(group.registrations[1]?.state).toEqual({ status: "deregistered", confirmed: true });
    expect([0, 1, 2].map((id) => bench.textOf(`/web/${id}`))).toEqual(["host-0:80", undefined, "host-2:80"]);
    await bench.clock.advance(30_000);
    expect(group.state, "of those that are left").toEqual({ status: "registered" });
    expect(bench.textOf(KEY)).toBeUndefined();
    expect(bench.memory.callsOf("revoke")).toEqual([]);
  });

  it("deletes no key of another's, noticed or not (R3)", async () => {
    const group = await begin();
    bench.memory.holdWatchEvents();
    bench.memory.put(KEY, "other:1");
    const revocation = await bench.run(group.registrations[1]?.close() ?? Promise.reject());
    expect(revocation).toEqual({ confirmed: true, revision: undefined });
    expect(bench.textOf(KEY)).toBe("other:1");
    bench.memory.releaseWatchEvents();
  });

  it("revokes the lease if it is the last, and the group may be closed still", async () => {
    const group = await begin();
    for (const registration of group.registrations) await bench.run(registration.close());
    expect(bench.memory.leases).toEqual([]);
    expect(await bench.run(group.close())).toMatchObject({ confirmed: true });
    expect(bench.memory.callsOf("revoke")).toHaveLength(1);
  });

  it("goes on deleting after its time is over, until etcd confirms (R9)", async () => {
    const group = await begin();
    bench.memory.freeze();
    const closed = bench.run(group.registrations[1]?.close() ?? Promise.reject(), 3_000);
    expect(await closed).toMatchObject({ confirmed: false });
    bench.memory.thaw();
    await bench.clock.advance(10_000);
    expect(bench.textOf(KEY)).toBeUndefined();
    expect(bench.textOf("/web/0")).toBe("host-0:80");
  });

  it("is gone, though its lease was overdue meanwhile and is recovered for the others (R9)", async () => {
    const group = await begin();
    bench.memory.kill();
    await bench.clock.advance(40_000);
    const closed = bench.run(group.registrations[1]?.close() ?? Promise.reject(), 3_000);
    expect(await closed).toMatchObject({ confirmed: false });
    bench.memory.restart();
    await bench.clock.advance(15_000);
    expect(group.registered).toBe(2);
    expect(bench.writes("/web/0"), "recovered (R14)").toBe(1);
    expect(bench.textOf(KEY)).toBeUndefined();
  });

  it("is gone with the lease, if that ends and the others have another before its key is deleted (R9)", async () => {
    const wrap = (inner: EtcdTransport): Partial<EtcdTransport> => ({
      txn: (request, rest) =>
        request.success[0]?.type === "delete"
          ? Promise.reject(etcdError(14, "connection lost"))
          : inner.txn(request, rest),
    });
    const client = bench.newClient({ wrap });
    const group = await bench.run(registerAll(client, { ...options, closeTimeoutMs: 60_000 }));
    const closed = group.registrations[1]?.close() ?? Promise.reject();
    await bench.clock.advance(1_000);
    for (const id of bench.memory.leases) bench.memory.expireLease(id);
    expect(await bench.run(closed, 20_000)).toEqual({ confirmed: true, revision: undefined });
    await bench.clock.advance(2_000);
    expect([0, 1, 2].map((id) => bench.textOf(`/web/${id}`))).toEqual(["host-0:80", undefined, "host-2:80"]);
    await bench.run(group.close());
  });

  it("is deleted again if a put of before arrives late, as long as the lease lives (R9)", async () => {
    let late: (() => Promise<unknown>) | undefined;
    const wrap = (inner: EtcdTransport): Partial<EtcdTransport> => ({
      txn(request, rest) {
        if (late || request.success[0]?.type !== "put") return inner.txn(request, rest);
        late = () => inner.txn(request);
        return Promise.reject(etcdError(14, "connection lost"));
      },
    });
    const group = startAllRegistrations(bench.newClient({ wrap }), options);
    await bench.run(group.ready(), 1_000);
    // All but the one, so that the late transaction finds its guards true again.
    const closings = group.registrations.slice(0, 2).map((registration) => registration.close());
    const [, inDoubt] = await bench.run(Promise.all(closings));
    expect(inDoubt, "not sure").toMatchObject({ confirmed: false });
    bench.memory.delete("/web/2");
    await bench.run(late?.() ?? Promise.reject());
    await bench.clock.advance(1_500);
    expect(bench.history(KEY)).toEqual(["host-1:80", undefined, "host-1:80", undefined]);
    expect([0, 1, 2].map((id) => bench.textOf(`/web/${id}`))).toEqual([undefined, undefined, "host-2:80"]);
    await bench.run(group.close());
  });

  it.each([3, 20])(
    "is deleted again if something on the way repeats a put of before, of %i together (R9)",
    async (count) => {
      let again: (() => Promise<unknown>) | undefined;
      const wrap = (inner: EtcdTransport): Partial<EtcdTransport> => ({
        txn(request, rest) {
          if (request.success[0]?.type === "put") again = () => inner.txn(request);
          return inner.txn(request, rest);
        },
      });
      const instances = Array.from({ length: count }, (_, id) => ({
        service: "web",
        id: `${id}`,
        address: `h${id}:80`,
      }));
      const group = await bench.run(registerAll(bench.newClient({ wrap }), { ...options, instances }));
      const [, ...others] = group.registrations;
      for (const { status } of await bench.run(Promise.allSettled(others.map((each) => each.close())))) {
        expect(status).toBe("fulfilled");
      }
      // All but the one, so that what is repeated finds its guards true again.
      bench.memory.delete("/web/0");
      await bench.run(again?.() ?? Promise.reject());
      await bench.clock.advance(1_500);
      expect(bench.history(KEY)).toEqual(["h1:80", undefined, "h1:80", undefined]);
      expect(bench.textOf("/web/0"), "registered again, or as it was repeated").toBe("h0:80");
      await bench.run(group.close());
    },
  );

  it("is deleted once a second at most, by whatever it is repeated", async () => {
    let deletions = 0;
    const wrap = (inner: EtcdTransport): Partial<EtcdTransport> => ({
      async txn(request, rest) {
        const answer = await inner.txn(request, rest);
        const [guard] = request.compare;
        if (request.success[0]?.type !== "delete" || guard?.target !== "lease") return answer;
        deletions += 1;
        const { key, equals: lease } = guard;
        const put = { type: "put", key, value: Buffer.from("again"), lease: lease as LeaseId } as const;
        await inner.txn({ compare: [], success: [put], failure: [] });
        return answer;
      },
    });
    const group = await bench.run(registerAll(bench.newClient({ wrap }), options));
    void group.registrations[1]?.close();
    await bench.clock.advance(10_500);
    expect(deletions).toBe(11);
    await bench.run(group.close());
  });

  it("is not confirmed where it has failed, is closed, and etcd does not answer (R9)", async () => {
    bench.memory.put(KEY, "other:1");
    const group = startAllRegistrations(bench.client, { ...options, onConflict: "fail" });
    const [, failed] = group.registrations;
    failed?.subscribe(({ status }) => {
      if (status === "failed") bench.memory.freeze();
    });
    await bench.clock.advance(100);
    expect(failed?.state.status).toBe("failed");
    const closed = failed?.close() ?? Promise.reject();
    expect(await bench.run(closed, 5_000)).toMatchObject({ confirmed: false });
    bench.memory.thaw();
    await bench.clock.advance(5_000);
    expect(bench.textOf(KEY)).toBe("other:1");
  });

  it("is deleted though it takes over another's key after it was closed (R9)", async () => {
    bench.memory.put(KEY, "other:1");
    let late: (() => Promise<unknown>) | undefined;
    const wrap = (inner: EtcdTransport): Partial<EtcdTransport> => ({
      txn(request, rest) {
        const [first] = request.compare;
        const isTakeover = first?.target === "mod" && first.equals !== 0;
        if (late || !isTakeover) return inner.txn(request, rest);
        late = () => inner.txn(request);
        return Promise.reject(etcdError(14, "connection lost"));
      },
    });
    const client = bench.newClient({ wrap });
    const group = startAllRegistrations(client, { ...options, onConflict: "takeover" });
    await bench.clock.settle();
    const closed = bench.run(group.registrations[1]?.close() ?? Promise.reject());
    expect(await closed, "not sure").toMatchObject({ confirmed: false });
    expect(bench.textOf(KEY)).toBe("other:1");
    await bench.run(late?.() ?? Promise.reject());
    await bench.clock.advance(1_500);
    expect(bench.history(KEY)).toEqual(["other:1", "host-1:80", undefined]);
    await bench.run(group.close());
  });
});
