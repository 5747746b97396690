import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { SdChannels } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { registerKey } from "./register.js";

type Contested = SdChannels["sd:registration:contested"];

const CHANNEL = "sd:registration:contested";
const options = { key: "/web/a", value: "ours", ttlSeconds: 15 };

describe("a contested key (R7)", () => {
  let bench: Harness;
  const told: Contested[] = [];
  const listen = (message: unknown): void => void told.push(message as Contested);
  beforeEach(() => {
    bench = new Harness();
    told.length = 0;
    subscribe(CHANNEL, listen);
    return async () => {
      unsubscribe(CHANNEL, listen);
      await bench.end();
    };
  });

  it("is told once for each owner, an entry without a lease as such", async () => {
    await bench.run(registerKey(bench.client, options));
    bench.memory.put("/web/a", "theirs");
    await bench.clock.advance(10_000);
    expect(told).toEqual([{ key: "/web/a", leaseId: 0n, repairs: 0 }]);
    bench.memory.put("/web/a", "another's");
    await bench.clock.advance(10_000);
    expect(told).toHaveLength(2);
  });

  it("is told with the number of repairs when two overwrite each other", async () => {
    await bench.run(registerKey(bench.client, { ...options, onConflict: "takeover" }));
    for (let times = 0; times < 10; times += 1) {
      bench.memory.put("/web/a", "theirs");
      await bench.clock.advance(6_000);
    }
    expect(told.map(({ repairs }) => repairs)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});
