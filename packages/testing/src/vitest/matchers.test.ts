import { beforeEach, describe, expect, it } from "vitest";
import { Bench } from "../index.js";
import { FakeDiscovery, instance } from "../record/fake-discovery.fixture.js";
import { recordChanges } from "../record/record-changes.js";
import "./index.js";

let bench: Bench;
let discovery: FakeDiscovery;

beforeEach(() => {
  bench = new Bench();
  discovery = new FakeDiscovery();
  return () => bench.end();
});

const within = (withinMs: number) => ({ withinMs, clock: bench.clock });

describe("toConverge", () => {
  const [a, b] = [instance("a", 2), instance("b", 3)];

  it("takes ids, addresses and keys, in any order", async () => {
    discovery.show([a, b, instance("c", 4)], 4);
    await expect(discovery).toConverge(["/web/c", "b:80", "a"], within(0));
    await expect(discovery).not.toConverge(["a", "a", "b"], within(0));
    await expect(discovery).not.toConverge(["a", "b"], within(0));
    await expect(discovery).not.toConverge(["a", "b", "c", "d"], within(0));
  });

  it("waits no longer than needed, on the clock that it is given", async () => {
    bench.clock.setTimer(300, () => discovery.show([a], 2));
    const late = bench.clock.setTimer(9_000, () => {});
    await expect(discovery).toConverge(["a"], { clock: bench.clock });
    expect(bench.clock.now()).toBe(300);
    late[Symbol.dispose]();
    setTimeout(() => discovery.show([], 3), 20);
    await expect(discovery).toConverge([]);
  });

  it("wants it to be live", async () => {
    discovery.show([a], 2);
    discovery.enter("stale");
    await expect(expect(discovery).toConverge(["a"], within(100))).rejects.toThrow(
      "the discovery of /web/ has not converged within 100 ms: it is stale at revision 2",
    );
  });

  it("says what is shown and what was expected", async () => {
    discovery.show([a, b], 3);
    const failed = expect(discovery).toConverge(["a", "c:80"], within(1_000));
    await expect(failed).rejects.toThrow(
      [
        "the discovery of /web/ has not converged within 1000 ms: it is live at revision 3",
        "  shows     a, b",
        "  expected  a, c:80",
      ].join("\n"),
    );
    await expect(failed).rejects.toMatchObject({ actual: expect.anything(), expected: expect.anything() });
  });

  it("refuses at once what nothing can converge to", async () => {
    const name = "a" as unknown as string[];
    await expect(expect(discovery).toConverge(name)).rejects.toThrow(
      "must be a list of ids, addresses or keys",
    );
    await expect(expect(discovery).toConverge([], { withinMs: Number.NaN })).rejects.toThrow(
      "withinMs must be a number from 0, got NaN",
    );
  });

  it("takes an etcd for what it holds under the prefix, each key as last written", async () => {
    bench.memory.put("/web/a", "a:80");
    bench.memory.put("/webbing", "");
    discovery.show([a], 2);
    await expect(discovery).toConverge(bench.memory, within(0));
    bench.memory.put("/web/a", "a:81");
    await expect(expect(discovery).toConverge(bench.memory, within(0))).rejects.toThrow(
      "shows     /web/a @2\n  expected  /web/a @4",
    );
    discovery.rejected.set("/web/a", new Error("bad"));
    discovery.show([], 4);
    await expect(discovery).toConverge(bench.memory, within(0));
  });
});

describe("toReach", () => {
  it("sees a state that is over at once", async () => {
    bench.clock.setTimer(100, () => {
      discovery.enter("stale");
      discovery.enter("live");
    });
    await expect(discovery).toReach("stale", within(100));
    await expect(discovery).not.toReach("stale", within(100));
  });

  it("says which way it went", async () => {
    bench.clock.setTimer(10, () => discovery.enter("stale"));
    await expect(expect(discovery).toReach("closed", within(50))).rejects.toThrow(
      `has not reached "closed" within 50 ms: live → stale\n  now { status: 'stale' }`,
    );
  });
});

describe("toBeConsistent", () => {
  it("lists what is wrong", () => {
    const recording = recordChanges(discovery);
    expect(recording).toBeConsistent();
    discovery.tell(2, [{ type: "removed", instance: instance("a", 2) }]);
    expect(() => expect(recording).toBeConsistent()).toThrow(
      "wrong in 1 places:\n  -/web/a at 2, which was not there",
    );
  });
});

describe("toLeak", () => {
  it("finds a timer that is left, and says where it was made", async () => {
    const timers: NodeJS.Timeout[] = [];
    await expect(() => clearTimeout(setTimeout(() => {}, 1_000))).not.toLeak({ withinMs: 100 });
    const failed = expect(() => timers.push(setTimeout(() => {}, 60_000))).not.toLeak({ withinMs: 20 });
    await expect(failed).rejects.toThrow(/1 left open[\s\S]*matchers\.test/);
    for (const timer of timers) clearTimeout(timer);
  });
});
