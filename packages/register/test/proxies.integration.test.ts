import { createClient } from "@sd/core";
import {
  EtcdProcess,
  etcdBinaries,
  eventually,
  FaultProxy,
  GrpcProxy,
  oldestAndNewestEtcd,
  recordStates,
} from "@sd/testing";
import { describe, expect, it } from "vitest";
import { type KeyRegistration, registerKey } from "../src/index.js";
import { balancer } from "./balancer.js";
import { follow } from "./follow.js";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const statusOf = ({ state }: KeyRegistration): string => state.status;
const leaseOf = ({ state }: KeyRegistration) => (state.status === "registered" ? state.leaseId : undefined);

describe.each(oldestAndNewestEtcd())("F38 behind etcd's grpc-proxy, on $name", ({ binary }) => {
  it("registers, watches, and comes back: after a revocation, and after etcd was dead for a TTL", async () => {
    await using etcd = await EtcdProcess.start({ binary });
    await using door = await GrpcProxy.start({ binary, target: etcd.endpoint });
    await using direct = createClient({ endpoints: etcd.endpoint });
    await using client = createClient({ endpoints: door.endpoint });
    const { reflector, keys } = follow(client, "/p/");
    const [first, ...others] = await Promise.all(
      ["a", "b", "c", "d", "e"].map((name) =>
        registerKey(client, { key: `/p/${name}`, value: name, ttlSeconds: 5 }),
      ),
    );
    if (!first) throw new Error("nothing registered");
    const outside = await registerKey(direct, { key: "/p/outside", value: "x" });
    await eventually(() => keys.size === 6);
    await outside.close();
    await eventually(() => !keys.has("/p/outside"));

    const seen = recordStates(first);
    const quiet = others.map((each) => recordStates(each));
    await pause(6_000);
    const revoked = leaseOf(first);
    if (revoked === undefined) throw new Error(`not registered but ${statusOf(first)}`);
    await direct.leases.revoke({ id: revoked });
    await eventually(() => seen.statuses.includes("lost") && leaseOf(first) !== undefined, {
      timeoutMs: 2_000,
    });
    expect(leaseOf(first)).not.toBe(revoked);
    expect(quiet.map(({ statuses }) => statuses)).toEqual(others.map(() => ["registered"]));

    await etcd.kill();
    await eventually(() => others.every((each) => statusOf(each) === "lost"), { timeoutMs: 7_000 });
    await etcd.restart();
    await eventually(() => others.every((each) => statusOf(each) === "registered"), { timeoutMs: 10_000 });
    const { kvs } = await direct.transport.range({
      key: Buffer.from("/p/b"),
      rangeEnd: Buffer.from("/p/f"),
    });
    expect(
      kvs.map(({ version }) => version),
      "the leases survived: no write (R14)",
    ).toEqual([1, 1, 1, 1]);
    await Promise.all([first, ...others].map((each) => each.close()));
    await eventually(() => keys.size === 0, { timeoutMs: 10_000 });
    await reflector.close();
  });
});

// A balancer knows nothing of etcd.
describe.each(etcdBinaries().slice(-1))("F38 behind a layer 4 balancer, on $name", ({ binary }) => {
  it.each(["blackhole", "reset"] as const)("leaves a way that fails for another: %s", async (fault) => {
    await using etcd = await EtcdProcess.start({ binary });
    await using bad = await FaultProxy.start({ target: etcd.endpoint });
    await using good = await FaultProxy.start({ target: etcd.endpoint });
    {
      await using door = await balancer([bad.endpoint, good.endpoint]);
      await using client = createClient({ endpoints: door.endpoint });
      const registration = await registerKey(client, { key: "/b/1", value: "1", ttlSeconds: 9 });
      const seen = recordStates(registration);
      await eventually(() => bad.connections + good.connections >= 3);
      bad[fault]();
      if (fault === "reset") bad.tarpit();
      await pause(12_000);
      expect(seen.statuses).toEqual(["registered"]);
      await registration.update("2");
      expect(await registration.close()).toMatchObject({ confirmed: true });
    }
  });
});
