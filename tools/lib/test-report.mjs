/** Counts the tests of a vitest run from its JSON report. */

/** @typedef {{ status: string }} Assertion */
/** @typedef {{ testResults: { status: string, assertionResults: Assertion[] }[] }} Report */

/**
 * Counts what passed, failed and was skipped.
 *
 * A file that fails without a failed test (it did not load) counts as one failure, and so does a run that failed
 * though no test did (an error that nobody caught): zero failures always mean a good run.
 *
 * @param {Report | undefined} report undefined if the run wrote none
 * @param {boolean} succeeded
 */
export function countTests(report, succeeded) {
  const files = report?.testResults ?? [];
  const tests = files.flatMap((file) => file.assertionResults);
  const brokenFiles = files.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  const passed = tests.filter((test) => test.status === "passed").length;
  const failed = tests.filter((test) => test.status === "failed").length + brokenFiles.length;
  return {
    passed,
    failed: failed === 0 && !succeeded ? 1 : failed,
    skipped: tests.filter((test) => test.status !== "passed" && test.status !== "failed").length,
  };
}

/**
 * Writes the counts as the line `N passed, N failed`, and `, N skipped` if there are any.
 *
 * @param {ReturnType<typeof countTests>} counts
 */
export function summaryLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
