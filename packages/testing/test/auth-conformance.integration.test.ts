import { afterAll, describe, expect, it } from "vitest";
import { etcdBinaries } from "../src/index.js";
import { AuthPair } from "./auth-conformance/pair.js";
import { expiry, scripts } from "./auth-conformance/scripts.js";

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

  it.each(Object.keys(expiry))("in %s", async (title) => {
    await using short = await AuthPair.start(binary, { shortTokens: true });
    await short.run(expiry[title] ?? []);
    expect(short.compared).toBeGreaterThan(20);
  });
});
