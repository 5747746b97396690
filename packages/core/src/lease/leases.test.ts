import { getEventListeners } from "node:events";
import { leaseId } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type ClientFixture, openClient } from "../../test/client-fixture.js";
import { settled } from "../../test/observe.js";

let fixture: ClientFixture;
beforeEach(() => {
  fixture = openClient();
  return () => fixture.end();
});

const code = (name: string) => expect.objectContaining({ code: name });

describe("Leases.grant", () => {
  it("is tried again under another id when its answer is lost: a late one revives no lease (R6)", async () => {
    const { clock, etcd, client } = fixture;
    etcd.loseNextAnswer("grant");
    const grant = client.leases.grant({ ttlSeconds: 15 });
    await clock.advance(1_000);
    const lease = await grant;
    const ids = etcd.callsOf("grant").map(({ request }) => request.id);
    expect(ids).toHaveLength(2);
    expect(ids[0]).not.toBe(ids[1]);
    expect(lease.id).toBe(ids[1]);
    await clock.advance(30_000);
    expect(lease.state.status).toBe("active");
    expect(etcd.leases, "the other has ended by its TTL").toEqual([lease.id]);
  });

  it("counts from the try that was granted, when those before it were lost (R10)", async () => {
    const { clock, etcd, client } = fixture;
    for (let lost = 0; lost < 6; lost += 1) etcd.dropNextRequest("grant");
    const grant = client.leases.grant({ ttlSeconds: 2 });
    await clock.advance(3_150);
    expect(etcd.callsOf("grant").at(-1)?.at).toBe(3_150);
    expect((await grant).state).toEqual({ status: "active", deadline: 5_150 });
  });

  it("chooses another id if the first one is another's lease (R6)", async () => {
    const { clock, etcd, client } = fixture;
    await etcd.transport().grant({ id: leaseId(1n), ttlSeconds: 100 });
    const grant = client.leases.grant({ ttlSeconds: 15 });
    await clock.advance(1_000);
    expect((await grant).id).toBe(2n);
    etcd.revokeLease(1n);
  });

  it("never asks for the id 0, which means no lease (R4, R6)", async () => {
    const zero = { next: () => 0.5, nextId: () => 0n };
    const other = openClient({ random: zero });
    expect((await other.client.leases.grant({ ttlSeconds: 15 })).id).toBe(1n);
    await other.end();
  });

  it("fails at once with SD_UNAVAILABLE if no member can be reached", async () => {
    const { clock, etcd, client } = fixture;
    etcd.refuse();
    const grant = client.leases.grant({ ttlSeconds: 15 });
    await expect(grant).rejects.toEqual(code("SD_UNAVAILABLE"));
    expect([etcd.callsOf("grant").length, clock.pending]).toEqual([1, 0]);
  });

  it("ends with SD_UNAVAILABLE if its answer does not come in time", async () => {
    const { clock, etcd, client } = fixture;
    for (let lost = 0; lost < 20; lost += 1) etcd.dropNextRequest("grant");
    const lossy = settled(client.leases.grant({ ttlSeconds: 15, timeoutMs: 2_000 }));
    await clock.advance(2_000);
    expect(lossy).toMatchObject({ status: "rejected", reason: code("SD_UNAVAILABLE") });
    const ids = etcd.callsOf("grant").map(({ request }) => request.id);
    expect(ids.length).toBeGreaterThan(2);
    expect(new Set(ids).size).toBe(ids.length);
    etcd.freeze();
    const silent = settled(client.leases.grant({ ttlSeconds: 15 }));
    await clock.advance(4_999);
    expect(silent.status).toBe("pending");
    await clock.advance(1);
    expect(silent).toMatchObject({ status: "rejected", reason: code("SD_UNAVAILABLE") });
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 9_000_000_001, "15"])(
    "refuses the TTL %s before any I/O",
    async (ttlSeconds) => {
      const { etcd, client } = fixture;
      const grant = client.leases.grant({ ttlSeconds: ttlSeconds as number });
      await expect(grant).rejects.toEqual(code("SD_INVALID_ARGUMENT"));
      expect(etcd.calls).toEqual([]);
    },
  );

  it("rejects with the signal's reason, before, in a call and between two", async () => {
    const { clock, etcd, client } = fixture;
    const before = client.leases.grant({ ttlSeconds: 15, signal: AbortSignal.abort("before") });
    await expect(before).rejects.toBe("before");
    expect(etcd.calls).toEqual([]);
    for (const trouble of ["drop", "freeze"]) {
      if (trouble === "drop") etcd.dropNextRequest("grant");
      else etcd.freeze();
      const controller = new AbortController();
      const grant = settled(client.leases.grant({ ttlSeconds: 15, signal: controller.signal }));
      await clock.settle();
      expect(grant.status).toBe("pending");
      controller.abort(trouble);
      await clock.settle();
      expect(grant).toMatchObject({ status: "rejected", reason: trouble });
      etcd.thaw();
    }
  });

  it("rejects with SD_CLOSED after the client is closed", async () => {
    await fixture.client.close();
    await expect(fixture.client.leases.grant({ ttlSeconds: 15 })).rejects.toEqual(code("SD_CLOSED"));
  });

  it("rejects with SD_CLOSED, not with a released lease, when the leases are closed meanwhile", async () => {
    const { clock, etcd, client } = fixture;
    etcd.freeze();
    const grant = settled(client.leases.grant({ ttlSeconds: 15 }));
    await clock.settle();
    await client.leases.close();
    etcd.thaw();
    await clock.advance(1_000);
    expect(grant).toMatchObject({ status: "rejected", reason: code("SD_CLOSED") });
    await expect(client.leases.grant({ ttlSeconds: 15 })).rejects.toEqual(code("SD_CLOSED"));
    expect(etcd.callsOf("renew")).toEqual([]);
  });

  it("refuses a timeout that is not a number before any I/O", async () => {
    const { etcd, client } = fixture;
    const grant = client.leases.grant({ ttlSeconds: 15, timeoutMs: Number.NaN });
    await expect(grant).rejects.toEqual(code("SD_INVALID_ARGUMENT"));
    expect(etcd.calls).toEqual([]);
  });
});

describe("Leases.recover", () => {
  /** A lease that went overdue in an outage longer than its TTL. */
  async function overdue() {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 5 });
    etcd.kill();
    await clock.advance(6_000);
    expect(lease.state).toMatchObject({ status: "lost", reason: "overdue" });
    return lease;
  }

  it("proves that etcd still has an overdue lease, and keeps it alive (R14)", async () => {
    const { clock, etcd, client } = fixture;
    const { id } = await overdue();
    const recovery = client.leases.recover({ id, ttlSeconds: 60 });
    await clock.advance(10_000);
    etcd.restart();
    await clock.advance(2_000);
    const lease = await recovery;
    expect(lease).toMatchObject({ id, ttlSeconds: 5, state: { status: "active" } });
    await clock.advance(60_000);
    expect(lease.state.status).toBe("active");
    expect(etcd.leases).toEqual([id]);
  });

  it("rejects with SD_LEASE_LOST if etcd has it no more", async () => {
    const { clock, etcd, client } = fixture;
    const { id } = await overdue();
    etcd.restart();
    etcd.expireLease(id);
    const recovery = settled(client.leases.recover({ id, ttlSeconds: 5 }));
    await clock.advance(2_000);
    expect(recovery).toMatchObject({ status: "rejected", reason: code("SD_LEASE_LOST") });
  });

  it("waits while no member answers, until it is aborted", async () => {
    const { clock, client } = fixture;
    const { id } = await overdue();
    const controller = new AbortController();
    const recovery = settled(client.leases.recover({ id, ttlSeconds: 5, signal: controller.signal }));
    await clock.advance(3_600_000);
    expect(recovery.status).toBe("pending");
    controller.abort("enough");
    await clock.settle();
    expect(recovery).toMatchObject({ status: "rejected", reason: "enough" });
  });

  it("rejects with SD_CLOSED when the client is closed", async () => {
    const { clock, client } = fixture;
    const { id } = await overdue();
    const recovery = settled(client.leases.recover({ id, ttlSeconds: 5 }));
    await client.close();
    await clock.settle();
    expect(recovery).toMatchObject({ status: "rejected", reason: code("SD_CLOSED") });
    await expect(client.leases.recover({ id, ttlSeconds: 5 })).rejects.toEqual(code("SD_CLOSED"));
  });
});

describe("Leases", () => {
  it.each([0n, -1n, 2n ** 63n, 7])(
    "refuses what cannot be the id of a lease before any I/O: %s",
    async (id) => {
      const { clock, etcd, client } = fixture;
      const lease = { id: leaseId(id as bigint) };
      const recovery = client.leases.recover({ ...lease, ttlSeconds: 5 });
      await expect(recovery).rejects.toEqual(code("SD_INVALID_ARGUMENT"));
      await expect(client.leases.revoke(lease)).rejects.toEqual(code("SD_INVALID_ARGUMENT"));
      expect([etcd.calls, clock.pending]).toEqual([[], 0]);
    },
  );

  it.each([Number.NaN, 0, 1.5])(
    "refuses to recover a lease with the TTL %s before any I/O",
    async (ttlSeconds) => {
      const { clock, etcd, client } = fixture;
      const recovery = client.leases.recover({ id: leaseId(1n), ttlSeconds });
      await expect(recovery).rejects.toEqual(code("SD_INVALID_ARGUMENT"));
      expect([etcd.calls, clock.pending]).toEqual([[], 0]);
    },
  );

  it("lets go of the signal once a lease is recovered, and an abort then leaves the lease alone", async () => {
    const { clock, etcd, client } = fixture;
    const id = leaseId(77n);
    await etcd.transport().grant({ id, ttlSeconds: 5 });
    const controller = new AbortController();
    const { signal } = controller;
    const recovery = settled(client.leases.recover({ id, ttlSeconds: 5, signal }));
    expect(getEventListeners(signal, "abort").length).toBeGreaterThan(0);
    await clock.settle();
    expect(recovery.status).toBe("resolved");
    expect(getEventListeners(signal, "abort")).toEqual([]);
    controller.abort("late");
    expect(recovery.value?.state.status).toBe("active");
  });
});

describe("Leases.revoke", () => {
  it("ends in time when etcd is frozen, unconfirmed (R9)", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    etcd.freeze();
    const revocation = settled(lease.revoke());
    await clock.advance(2_999);
    expect(revocation.status).toBe("pending");
    await clock.advance(1);
    expect(revocation.value).toMatchObject({ confirmed: false, cause: { code: "SD_UNAVAILABLE" } });
    expect(etcd.callsOf("revoke").length).toBeGreaterThan(1);
  });

  it("ends in time when etcd refuses connections, and tries until then", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    etcd.refuse();
    const revocation = settled(lease.revoke({ timeoutMs: 1_000 }));
    await clock.advance(1_000);
    expect(revocation.value).toMatchObject({ confirmed: false });
    expect(etcd.callsOf("revoke").length).toBeGreaterThan(2);
  });

  it("is confirmed at a later try, also when the first one was done and its answer lost", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    etcd.loseNextAnswer("revoke");
    const revocation = settled(lease.revoke());
    await clock.advance(500);
    expect(revocation.value).toEqual({ confirmed: true, revision: undefined });
    expect(etcd.leases).toEqual([]);
  });

  it("is not confirmed after the client is closed, and does not throw", async () => {
    const lease = await fixture.client.leases.grant({ ttlSeconds: 15 });
    await fixture.client.close();
    expect(await lease.revoke()).toMatchObject({ confirmed: false, cause: { code: "SD_CLOSED" } });
  });
});
