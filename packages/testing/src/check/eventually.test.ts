import { describe, expect, it } from "vitest";
import { eventually } from "./eventually.js";

describe("eventually", () => {
  it("returns what the first successful try returned", async () => {
    let tries = 0;
    const result = await eventually(
      () => {
        tries += 1;
        if (tries === 1) throw new Error("not yet");
        return tries === 2 ? false : { tries };
      },
      { everyMs: 1 },
    );
    expect(result).toEqual({ tries: 3 });
  });

  it("takes the return of nothing for success", async () => {
    expect(await eventually(() => {})).toBe(undefined);
  });

  it("says what went wrong at the last try", async () => {
    let tries = 0;
    const work = async () => {
      tries += 1;
      throw new Error(`try ${tries} failed`);
    };
    const failed = eventually(work, { timeoutMs: 20, everyMs: 5 });
    await expect(failed).rejects.toThrow(/not within 20 ms: try \d+ failed/);
    await expect(eventually(() => false, { timeoutMs: 0 })).rejects.toThrow("it is still false");
    expect(tries).toBeGreaterThan(1);
  });

  it("refuses limits that never come", async () => {
    const tried = eventually(() => false, { timeoutMs: Number.NaN });
    await expect(tried).rejects.toThrow("timeoutMs must be a number from 0 to 2147483647, got NaN");
    await expect(eventually(() => {}, { everyMs: -1 })).rejects.toThrow(
      "everyMs must be a number from 0 to 2147483647, got -1",
    );
  });
});
