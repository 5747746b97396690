import { describe, expect, it } from "vitest";
import { countTests, summaryLine } from "./test-report.mjs";

/** @param {string} status @param {string[]} tests */
const file = (status, ...tests) => ({ status, assertionResults: tests.map((each) => ({ status: each })) });

describe("countTests", () => {
  it("counts tests, and what is neither passed nor failed as skipped", () => {
    const report = {
      testResults: [file("passed", "passed", "skipped", "todo"), file("failed", "failed", "passed")],
    };
    expect(countTests(report, false)).toEqual({ passed: 2, failed: 1, skipped: 2 });
  });

  it("counts a file that did not load", () => {
    expect(countTests({ testResults: [file("failed"), file("passed", "passed")] }, false).failed).toBe(1);
  });

  it("never reports a failed run without a failure", () => {
    expect(countTests({ testResults: [file("passed", "passed")] }, false).failed).toBe(1);
    expect(countTests(undefined, false)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
});

describe("summaryLine", () => {
  it("names skipped tests only if there are any", () => {
    expect(summaryLine({ passed: 3, failed: 0, skipped: 0 })).toBe("3 passed, 0 failed");
    expect(summaryLine({ passed: 3, failed: 1, skipped: 2 })).toBe("3 passed, 1 failed, 2 skipped");
  });
});
