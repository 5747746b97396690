import { inspect } from "node:util";
import type { MatcherState } from "vitest";
import { leakCheck } from "../check/leak-check.js";
import { recordStates, type Stateful } from "../record/record-states.js";
import {
  type Converging,
  checkExpected,
  type Expected,
  isEqual,
  type Standing,
  standing,
} from "./converge.js";
import { DEFAULT_WITHIN_MS, type MatcherWait, until } from "./until.js";

interface Verdict {
  readonly pass: boolean;
  readonly message: () => string;
  readonly actual?: unknown;
  readonly expected?: unknown;
}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** See `SdMatchers` for what each of them asserts. */
export const matchers = {
  async toConverge(
    this: MatcherState,
    discovery: Converging,
    expected: Expected,
    { withinMs = DEFAULT_WITHIN_MS, ...wait }: MatcherWait = {},
  ): Promise<Verdict> {
    checkExpected(expected);
    let last: Standing | undefined;
    let problem: unknown;
    const pass = await until(
      async () => {
        try {
          last = await standing(discovery, expected);
          problem = undefined;
        } catch (error) {
          problem = error;
        }
        return !problem && last !== undefined && isEqual(last) && discovery.state.status === "live";
      },
      { withinMs, ...wait },
    );
    const { snapshot, state, prefix } = discovery;
    const where = `is ${state.status} at revision ${snapshot.revision}`;
    const list = (names: readonly string[] = []): string => (names.length > 0 ? names.join(", ") : "nothing");
    return {
      pass,
      actual: last?.shown,
      expected: last?.expected,
      message: () =>
        [
          `the discovery of ${prefix} has ${pass ? "" : "not "}converged within ${withinMs} ms: it ${where}`,
          `  shows     ${list(last?.shown)}`,
          `  expected  ${list(last?.expected)}${problem ? `, and then: ${text(problem)}` : ""}`,
        ].join("\n"),
    };
  },

  async toReach(
    this: MatcherState,
    subject: Stateful<{ readonly status: string }>,
    status: string,
    { withinMs = DEFAULT_WITHIN_MS, ...wait }: MatcherWait = {},
  ): Promise<Verdict> {
    using recording = recordStates(subject);
    const pass = await until(() => recording.statuses.includes(status), { withinMs, ...wait });
    const way = recording.statuses.join(" → ");
    const state = inspect(subject.state);
    return {
      pass,
      message: () =>
        `${pass ? "has" : "has not"} reached "${status}" within ${withinMs} ms: ${way}\n  now ${state}`,
    };
  },

  toBeConsistent(this: MatcherState, recording: { problems(): readonly string[] }): Verdict {
    const problems = recording.problems();
    return {
      pass: problems.length === 0,
      message: () =>
        problems.length === 0
          ? "what was recorded is ordered, unique and complete"
          : `what was recorded is wrong in ${problems.length} places:\n  ${problems.join("\n  ")}`,
    };
  },

  async toLeak(
    this: MatcherState,
    work: () => unknown,
    options: { readonly withinMs?: number } = {},
  ): Promise<Verdict> {
    using check = leakCheck();
    await work();
    const left = await check.assertClean(options).then(() => undefined, text);
    return { pass: left !== undefined, message: () => left ?? "nothing was left open" };
  },
};
