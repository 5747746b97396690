import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { etcdBinaries } from "../src/index.js";
import { script } from "./conformance/arbitraries.js";
import { Pair } from "./conformance/pair.js";
import { scripts } from "./conformance/scripts.js";

/** More than 500 steps each. */
const RUNS = Number(process.env["SD_CONFORMANCE_RUNS"] ?? 40);
const MIN_STEPS = 500;

describe.each(etcdBinaries())("MemoryEtcd answers as $name does", ({ name, binary }) => {
  let pair: Pair | undefined;
  const compared = { answers: 0, events: 0 };

  /** A pair that has not differed yet: after a difference both begin anew. */
  async function onPair(work: (pair: Pair) => Promise<void>): Promise<void> {
    pair ??= await Pair.start(binary);
    const { answers, events } = pair.compared;
    try {
      await work(pair);
      compared.answers += pair.compared.answers - answers;
      compared.events += pair.compared.events - events;
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      pair = undefined;
      throw error;
    }
  }

  afterAll(async () => {
    await pair?.[Symbol.asyncDispose]();
    const { answers, events } = compared;
    process.stdout.write(`conformance with ${name}: ${answers} answers and ${events} events compared\n`);
  });

  it.each(Object.keys(scripts))("in %s", async (title) => {
    await onPair((each) => each.run(scripts[title] ?? [], { whole: true }));
  });

  it("in what fast-check makes up", { timeout: 300_000 }, async () => {
    // Of more than twelve keys, Go does not keep the order of those that sort alike: begin without a past.
    await pair?.[Symbol.asyncDispose]();
    pair = undefined;
    const before = compared.answers;
    await fc.assert(
      fc.asyncProperty(script, (steps) => onPair((each) => each.run(steps))),
      // Shrinking takes a new etcd for each try: minutes, for who wants to wait.
      { numRuns: RUNS, endOnFailure: process.env["SD_CONFORMANCE_SHRINK"] === undefined },
    );
    expect(compared.answers - before).toBeGreaterThan(RUNS * MIN_STEPS);
  });
});
