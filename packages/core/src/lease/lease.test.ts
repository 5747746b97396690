import { beforeEach, describe, expect, it } from "vitest";
import { type ClientFixture, openClient } from "../../test/client-fixture.js";
import { settled } from "../../test/observe.js";
import { type Lease, leaseTransitions, type Renewal } from "./lease.js";

let fixture: ClientFixture;
beforeEach(() => {
  fixture = openClient();
  return () => fixture.end();
});

const statuses = (lease: Lease): string[] => {
  const seen: string[] = [];
  lease.subscribe(({ status }) => seen.push(status));
  return seen;
};

describe("Lease", () => {
  it("is lost one TTL after the last confirmed renewal was sent, not received (R10)", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    await clock.advance(2_400);
    etcd.freeze();
    await clock.advance(1_000);
    expect(etcd.callsOf("renew").map(({ at }) => at)).toEqual([2_500]);
    etcd.thaw();
    await clock.settle();
    expect(lease.state).toEqual({ status: "active", deadline: 17_500 });
    etcd.refuse();
    etcd.cut();
    await clock.advance(17_499 - clock.now());
    expect(lease.state.status).toBe("active");
    await clock.advance(1);
    expect(lease.state).toEqual({ status: "lost", reason: "overdue" });
    // etcd counts later than we do: the holder stops first.
    expect(etcd.leases).toEqual([lease.id]);
  });

  it("goes on when it is to be revoked within a time that is none", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    await expect(lease.revoke({ timeoutMs: -1 })).rejects.toMatchObject({ code: "SD_INVALID_ARGUMENT" });
    await clock.advance(60_000);
    expect([lease.state.status, etcd.leases]).toEqual(["active", [lease.id]]);
  });

  it("counts its first TTL from when the grant was sent (R10)", async () => {
    const { clock, etcd, client } = fixture;
    etcd.freeze();
    const grant = client.leases.grant({ ttlSeconds: 15 });
    await clock.advance(2_000);
    etcd.thaw();
    expect((await grant).state).toEqual({ status: "active", deadline: 15_000 });
  });

  it("uses the TTL that etcd granted: asked for 1, got 2 (R12)", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 1 });
    etcd.refuse();
    etcd.cut();
    expect(lease.ttlSeconds).toBe(2);
    await clock.advance(1_999);
    expect(lease.state.status).toBe("active");
    await clock.advance(1);
    expect(lease.state.status).toBe("lost");
  });

  it("is lost as expired when etcd says so", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    const seen = statuses(lease);
    etcd.expireLease(lease.id);
    await clock.advance(2_500);
    expect(lease.state).toEqual({ status: "lost", reason: "expired" });
    expect(seen).toEqual(["lost"]);
    expect(lease.hasEnded).toBe(true);
  });

  it("stays lost", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 2 });
    etcd.kill();
    await clock.advance(2_000);
    etcd.restart();
    await clock.advance(20_000);
    expect(lease.state).toEqual({ status: "lost", reason: "overdue" });
    lease.release();
    expect(lease.state.status).toBe("lost");
  });

  it("is revoked in etcd, with all its keys, and at which revision is told", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    etcd.put("/web/a", "x", { lease: lease.id });
    expect(await lease.revoke()).toEqual({ confirmed: true, revision: etcd.revision });
    expect(etcd.get("/web/a")).toBe(undefined);
    expect(lease.state.status).toBe("revoked");
    expect(await lease.revoke()).toEqual({ confirmed: true, revision: undefined });
    await clock.advance(60_000);
    expect(etcd.callsOf("renew")).toEqual([]);
  });

  it("is revoked when it is disposed", async () => {
    const { etcd, client } = fixture;
    {
      await using _lease = await client.leases.grant({ ttlSeconds: 15 });
      expect(etcd.leases).toHaveLength(1);
    }
    expect(etcd.leases).toEqual([]);
  });

  it("can be revoked though it is lost", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 2 });
    etcd.kill();
    await clock.advance(2_000);
    etcd.restart();
    expect(await lease.revoke()).toMatchObject({ confirmed: true });
    expect(lease.state.status).toBe("revoked");
    expect(etcd.leases).toEqual([]);
  });

  it("is renewed no more once released, and etcd ends it by its TTL", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    await clock.advance(3_000);
    lease.release();
    expect(lease.state.status).toBe("released");
    await clock.advance(14_499);
    expect(etcd.leases).toHaveLength(1);
    await clock.advance(1);
    expect(etcd.leases).toEqual([]);
    expect(etcd.callsOf("renew")).toHaveLength(1);
  });
});

describe("leaseTransitions", () => {
  it.each([
    ["unproven", "active lost released revoked"],
    ["active", "active lost released revoked"],
    ["lost", "revoked"],
    ["released", "revoked"],
    ["revoked", ""],
  ] as const)("leads from %s to: %s", (from, to) => {
    expect(leaseTransitions[from].join(" ")).toBe(to);
  });
});

describe("Lease.renewals", () => {
  it("gives the newest to a slow reader, and ends with the lease", async () => {
    const { clock, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    const heard: Renewal[] = [];
    lease.onRenewal((renewal) => heard.push(renewal));
    const reading = lease.renewals()[Symbol.asyncIterator]();
    await clock.advance(12_500);
    expect(heard).toHaveLength(3);
    expect((await reading.next()).value).toBe(heard[2]);
    const next = settled(reading.next());
    await clock.settle();
    expect(next.status).toBe("pending");
    lease.release();
    await clock.settle();
    expect(next.value).toEqual({ done: true, value: undefined });
    expect(await lease.renewals()[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
  });

  it("does not tell of a renewal on whose news a listener has released the lease", async () => {
    const { clock, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    const heard: Renewal[] = [];
    lease.onRenewal((renewal) => heard.push(renewal));
    lease.subscribe(() => lease.release());
    await clock.advance(10_000);
    expect(lease.state.status).toBe("released");
    expect(heard).toEqual([]);
  });

  it("throws the signal's reason on abort, and leaves the lease alone", async () => {
    const { client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    const controller = new AbortController();
    const next = lease.renewals({ signal: controller.signal })[Symbol.asyncIterator]().next();
    controller.abort("stop");
    await expect(next).rejects.toBe("stop");
    expect(lease.state.status).toBe("active");
  });
});
