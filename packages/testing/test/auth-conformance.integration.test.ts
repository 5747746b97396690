import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { etcdBinaries } from "../src/index.js";
import { authScript } from "./auth-conformance/arbitraries.js";
import { AuthPair } from "./auth-conformance/pair.js";
import { expiry, scripts } from "./auth-conformance/scripts.js";

/** More than 150 steps each. */
const RUNS = Number(process.env["SD_AUTH_CONFORMANCE_RUNS"] ?? 12);
const MIN_STEPS = 150;

describe.each(etcdBinaries())("the authentication of MemoryEtcd is as that of $name", ({ name, binary }) => {
  let pair: AuthPair | undefined;
  let compared = 0;

  /** A pair that has not differed yet: after a difference both begin anew. */
  async function onPair(work: (pair: AuthPair) => Promise<void>): Promise<void> {
    pair ??= await AuthPair.start(binary);
    const before = pair.compared;
    try {
      await work(pair);
      compared += pair.compared - before;
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      pair = undefined;
      throw error;
    }
  }

  afterAll(async () => {
    await pair?.[Symbol.asyncDispose]();
    process.stdout.write(`authentication of ${name}: ${compared} answers compared\n`);
  });

  it.each(Object.keys(scripts))("in %s", async (title) => {
    await onPair((each) => each.run(scripts[title] ?? []));
  });

  it("in what fast-check makes up", { timeout: 300_000 }, async () => {
    const before = compared;
    await fc.assert(
      fc.asyncProperty(authScript, (steps) => onPair((each) => each.run(steps))),
      // Shrinking takes a new etcd for each try: minutes, for who wants to wait.
      { numRuns: RUNS, endOnFailure: process.env["SD_CONFORMANCE_SHRINK"] === undefined },
    );
    expect(compared - before).toBeGreaterThan(RUNS * MIN_STEPS);
  });

  it.each(Object.keys(expiry))("in %s", async (title) => {
    await using short = await AuthPair.start(binary, { shortTokens: true });
    await short.run(expiry[title] ?? []);
    expect(short.compared).toBeGreaterThan(20);
  });
});
