import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { describeStep, normalised } from "./normalise.js";

/** Fails if the answers differ by more than any two etcds may. `expect` only words it: it takes ten times as long. */
export function expectAlike(step: unknown, fake: unknown, real: unknown): void {
  const [ours, theirs] = [normalised(fake), normalised(real)];
  if (!isDeepStrictEqual(ours, theirs)) expect(ours, describeStep(step)).toEqual(theirs);
}
