import { ManualClock } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { settled } from "../../test/observe.js";
import { EtcdFailure, failureError } from "./failure.js";
import { RetryBudget } from "./retry-budget.js";

const heard = failureError(new EtcdFailure("overloaded", "etcdserver: too many requests"));
const unheard = failureError(new EtcdFailure("network", "connect ECONNREFUSED", { isSent: false }));

describe("RetryBudget (R17)", () => {
  function open(spending: number, error: unknown = heard) {
    const clock = new ManualClock();
    const budget = new RetryBudget(clock);
    const abort = new AbortController();
    const all = Array.from({ length: spending }, () => settled(budget.spend(error, abort)));
    const count = async (): Promise<number> => {
      await clock.settle();
      return all.filter(({ status }) => status === "resolved").length;
    };
    return { clock, budget, abort, count };
  }

  it("gives ten at once and then one every two seconds", async () => {
    const { clock, abort, count } = open(1_000);
    expect(await count()).toBe(10);
    await clock.advance(1_999);
    expect(await count()).toBe(10);
    await clock.advance(60_001);
    expect(await count()).toBe(41);
    abort.abort("enough");
    expect([await count(), clock.pending]).toEqual([41, 0]);
  });

  it("gives one for each success, and saves up ten", async () => {
    const { clock, budget, abort, count } = open(20);
    expect(await count()).toBe(10);
    for (let successes = 0; successes < 30; successes += 1) budget.succeeded();
    expect(await count()).toBe(20);
    const more = Array.from({ length: 20 }, () => settled(budget.spend(heard, abort)));
    await clock.settle();
    expect(more.filter(({ status }) => status === "resolved")).toHaveLength(10);
    abort.abort();
    await clock.settle();
  });

  it("costs nothing where etcd has heard nothing", async () => {
    expect(await open(1_000, unheard).count()).toBe(1_000);
  });
});
