import { describe, expect, it } from "vitest";
import { settled } from "../../test/observe.js";
import { Turns } from "./turns.js";

const rest = async (): Promise<void> => {
  for (let step = 0; step < 10; step += 1) await Promise.resolve();
};

describe("Turns", () => {
  it("lets so many through, and the next as each is over, in order", async () => {
    const turns = new Turns(2);
    const all = Array.from({ length: 4 }, () => settled(turns.take()));
    await rest();
    expect(all.map(({ status }) => status)).toEqual(["resolved", "resolved", "pending", "pending"]);
    all[1]?.value?.[Symbol.dispose]();
    all[1]?.value?.[Symbol.dispose]();
    await rest();
    expect(all.map(({ status }) => status)).toEqual(["resolved", "resolved", "resolved", "pending"]);
  });

  it("loses no turn to one that is aborted, not even as its turn comes", async () => {
    const turns = new Turns(1);
    const first = await turns.take();
    const waiting = new AbortController();
    const lucky = new AbortController();
    const outcomes = [settled(turns.take(waiting.signal)), settled(turns.take(lucky.signal))];
    const last = settled(turns.take());
    waiting.abort("enough");
    await rest();
    first[Symbol.dispose]();
    lucky.abort("too late");
    await rest();
    expect(outcomes.map(({ reason }) => reason)).toEqual(["enough", "too late"]);
    expect(last.status).toBe("resolved");
  });
});
