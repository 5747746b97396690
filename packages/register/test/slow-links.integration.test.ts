import { createClient } from "@sd/core";
import {
  EtcdProcess,
  etcdBinaries,
  eventually,
  FaultProxy,
  leakCheck,
  oldestAndNewestEtcd,
  recordStates,
} from "@sd/testing";
import { describe, expect, it } from "vitest";
import { registerKey, startKeyRegistration } from "../src/index.js";
import { follow } from "./follow.js";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

// The link is slow, whichever etcd is behind it.
describe.each(etcdBinaries().slice(-1))("a registration on a slow link, on $name", ({ binary }) => {
  it.concurrent.each([
    [1_000, 8_000],
    [2_000, 15_000],
  ])(
    "F32 latency: %i ms each way, TTL %i ms: neither lost nor stale in two TTLs",
    async (delayMs, ttlMs) => {
      const leaks = leakCheck();
      {
        await using etcd = await EtcdProcess.start({ binary });
        await using proxy = await FaultProxy.start({ target: etcd.endpoint });
        proxy.delay(delayMs);
        await using direct = createClient({ endpoints: etcd.endpoint });
        await using far = createClient({ endpoints: proxy.endpoint });
        const registration = startKeyRegistration(far, {
          key: "/far/a",
          value: "1",
          ttlSeconds: ttlMs / 1_000,
          closeTimeoutMs: 20_000,
        });
        const seen = recordStates(registration);
        const { reflector, keys, seen: standing } = follow(far, "/far/");
        await registration.ready();
        await eventually(() => reflector.state.status === "live" && keys.has("/far/a"), {
          timeoutMs: 30_000,
        });
        await pause(2 * ttlMs);
        expect(seen.statuses).toEqual(["registering", "registered"]);
        expect(standing).toEqual(["live"]);
        const { kvs } = await direct.transport.range({ key: Buffer.from("/far/a") });
        expect(kvs[0]).toMatchObject({ version: 1 });
        expect(await registration.close()).toMatchObject({ confirmed: true });
        await reflector.close();
      }
      if (delayMs > 1_000) await leaks.assertClean({ withinMs: 5_000 });
    },
    120_000,
  );
});

describe.each(oldestAndNewestEtcd())("a registration with few streams, on $name", ({ binary }) => {
  it.each([1, 3])("F36 stream limit: works with --max-concurrent-streams %i (R16)", async (limit) => {
    await using etcd = await EtcdProcess.start({ binary, args: [`--max-concurrent-streams=${limit}`] });
    await using client = createClient({ endpoints: etcd.endpoint });
    const { reflector, keys } = follow(client, "/few/");
    const registrations = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        registerKey(client, { key: `/few/${index}`, value: "x", ttlSeconds: 2, minTtlSeconds: 1 }),
      ),
    );
    const seen = registrations.map((each) => recordStates(each));
    await pause(3_000);
    expect(keys.size).toBe(20);
    expect(new Set(seen.flatMap(({ statuses }) => statuses))).toEqual(new Set(["registered"]));
    await Promise.all(registrations.map((registration) => registration.close()));
    await eventually(() => keys.size === 0);
    await reflector.close();
  });
});
