import { fixedRandom, ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { header, ScriptedTransport } from "../../test/scripted-transport.js";
import type { CallOptions } from "../etcd/transport.js";
import type { LeaseId, RevokeResponse } from "../etcd/types.js";
import { deferred } from "../kit/deferred.js";
import type { Revocation } from "./lease.js";
import { Revocations } from "./revocations.js";

const TIMEOUT_MS = 3_000;

/** 1,000 revocations at once, of an etcd that confirms when the test says so. */
function revokeMany() {
  const clock = new ManualClock();
  const asked: ((answer: RevokeResponse) => void)[] = [];
  const transport = Object.assign(new ScriptedTransport(), {
    revoke: (_id: LeaseId, { signal }: CallOptions): Promise<RevokeResponse> => {
      const answer = deferred<RevokeResponse>();
      asked.push(answer.resolve);
      signal?.addEventListener("abort", () => answer.reject(signal.reason));
      return answer.promise;
    },
  });
  const revocations = new Revocations(transport, clock, fixedRandom(0.5));
  const done: { readonly at: number; readonly result: Revocation }[] = [];
  for (let id = 1n; id <= 1_000n; id += 1n) {
    void revocations
      .revoke(id as LeaseId, TIMEOUT_MS)
      .then((result) => done.push({ at: clock.now(), result }));
  }
  const confirm = async (): Promise<void> => {
    for (const resolve of asked.splice(0)) resolve({ header: header(1) });
    await clock.settle();
  };
  const confirmed = (): number => done.filter(({ result }) => result.confirmed).length;
  return { clock, asked, done, confirm, confirmed };
}

describe("Revocations (R9)", () => {
  it("has 128 under way, and gives each its whole time from its turn on", async () => {
    const { clock, asked, confirm, confirmed } = revokeMany();
    await clock.settle();
    expect(asked).toHaveLength(128);
    for (let round = 0; round < 8; round += 1) {
      await clock.advance(2_500);
      await confirm();
    }
    expect(confirmed()).toBe(1_000);
    expect(clock.pending).toBe(0);
  });

  it("gives up those that wait when none is confirmed in the time of one, and says so", async () => {
    const { clock, done, confirm } = revokeMany();
    await clock.advance(1_000);
    await confirm();
    await clock.advance(20_000);
    expect(done).toHaveLength(1_000);
    expect(Math.max(...done.map(({ at }) => at))).toBeLessThanOrEqual(1_000 + TIMEOUT_MS + 10);
    expect(done.filter(({ result }) => result.confirmed)).toHaveLength(128);
    expect(done.at(-1)?.result).toMatchObject({ confirmed: false, cause: { code: "SD_UNAVAILABLE" } });
  });

  it("does not wait for ever for one that confirms now and then", async () => {
    const { clock, asked, done } = revokeMany();
    for (let round = 0; round < 60; round += 1) {
      await clock.advance(1_000);
      asked.shift()?.({ header: header(1) });
    }
    expect(done).toHaveLength(1_000);
    expect(Math.max(...done.map(({ at }) => at))).toBeLessThanOrEqual(11 * TIMEOUT_MS + 1_000);
  });
});
