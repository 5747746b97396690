import { describe, expect, it } from "vitest";
import { gates } from "./gates.js";

const times = (p99: number, count = 100) => ({ p50: 1, p99, max: p99, count });
const good = {
  minutes: 30,
  eventsChecked: 400_000,
  lost: 0,
  duplicated: 0,
  reordered: 0,
  split: 0,
  wrongStates: 0,
  emptyFlaps: 0,
  foreignDeletes: 0,
  foreignWrites: 0,
  needlessWrites: 0,
  orphans: 0,
  broken: {},
  back: { short: times(500), middle: times(5_000), long: times(6_000) },
  converged: times(3_000),
  halfOpenReplaced: times(7_900),
  tarpitLeft: times(400),
  delay: { calm: times(20), heal: times(800) },
  connections: [170, 510, 340],
  mostConnections: 510,
  memory: { rss: { perHour: 8, error: 4 }, heap: { perHour: 11, error: 1 } },
};
const missed = (change: object): string[] =>
  gates({ ...good, ...change })
    .filter(({ isKept }) => !isKept)
    .map(({ name }) => name);

describe("the gates of a soak", () => {
  it("are kept by a good run", () => {
    expect(missed({})).toEqual([]);
    expect(gates(good)).toHaveLength(22);
  });

  it.each([
    [{ eventsChecked: 199_999 }, "events checked"],
    [{ lost: 1 }, "events lost"],
    [{ foreignWrites: 1 }, "foreign deletes and writes"],
    [{ broken: { R8: 1 } }, "promises broken in all"],
    [{ delay: { calm: times(51), heal: times(1) } }, "change seen while calm, p99 ms"],
    [{ back: { ...good.back, long: times(6_001) } }, "registered after longer, p99 ms"],
    [{ tarpitLeft: times(400, 19) }, "tarpit left, p99 ms"],
    [{ halfOpenReplaced: undefined }, "half-open link replaced, p99 ms"],
    [{ connections: [510, 511] }, "connections at rest, one for each client, purpose and member"],
    [
      { memory: { ...good.memory, rss: { perHour: 9, error: 4 } } },
      "RSS slope, MiB an hour, less two standard errors",
    ],
    [
      { memory: { ...good.memory, heap: { perHour: 12, error: 1 } } },
      "heap slope, MiB an hour, less two standard errors",
    ],
  ])("are missed: %j", (change, name) => {
    expect(missed(change)).toEqual([name]);
  });

  it("ask less of a shorter run, and say what it could not measure", () => {
    const short = {
      minutes: 3,
      eventsChecked: 20_000,
      memory: { ...good.memory, rss: { perHour: 90, error: 1 } },
    };
    const run = { ...good, ...short, converged: times(9_000, 19), tarpitLeft: undefined };
    expect(missed(run)).toEqual([]);
    const values = gates(run).map(({ value }) => value);
    expect(values).toContain("too few samples: 19 of 20");
    expect(values).toContain("too few samples: 0 of 20");
  });

  it("let a long run pass in which nobody was away after a short outage", () => {
    expect(missed({ back: { ...good.back, short: undefined } })).toEqual([]);
  });
});
