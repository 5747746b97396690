import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { assertions, assertionsOf, documentPath, withTests } from "./fault-table.mjs";

/**
 * @param {number} from
 * @param {number} to
 */
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
/** The rows of the matrix: servers, clusters, clients, networks, data, access, limits, hostile data. */
const matrix = [
  [1, 8],
  [10, 16],
  [20, 27],
  [30, 38],
  [40, 48],
  [50, 54],
  [60, 68],
  [70, 75],
].flatMap(([from, to]) => range(from, to));

describe("assertionsOf", () => {
  it("reads rows from titles, with the etcd of their suite, and nothing else", () => {
    const source = [
      'const text = "%F0%9F" + F7; // F9 is no title',
      'describe.each(oldestAndNewestEtcd())("F1 killed", () => {',
      '  it.each([["F2 back"], ["F3 or F4"]])("%s", () => {});',
      'describe.each(etcdBinaries().slice(-1))("x", () => {',
      '  it("is frozen (D10, F5)", () => {});',
    ].join("\n");
    expect(assertionsOf("a.integration.test.ts", source).map(({ row, etcd }) => [row, etcd])).toEqual([
      [1, "oldest and newest"],
      [2, "oldest and newest"],
      [3, "oldest and newest"],
      [4, "oldest and newest"],
      [5, "newest"],
    ]);
    expect(assertionsOf("a.test.ts", 'it("F6", f);')).toEqual([
      { row: 6, file: "a.test.ts", etcd: "MemoryEtcd" },
    ]);
  });
});

describe("docs/reliability.md", () => {
  const document = readFileSync(documentPath, "utf8");

  it("has the whole matrix, each row once and in order", () => {
    expect([...document.matchAll(/^\| F(\d+) \|/gm)].map(([, row]) => Number(row))).toEqual(matrix);
  });

  it("names for each row the tests that name it, and no others (else: node tools/fault-table.mjs)", () => {
    expect(withTests(document, assertions())).toBe(document);
  });

  it("cannot name a row that no test has, nor leave one out that a test has", () => {
    const found = assertions();
    expect(() =>
      withTests(
        document,
        found.filter(({ row }) => row !== 8),
      ),
    ).toThrow("no test names F8");
    expect(() => withTests(document, [...found, { row: 76, file: "x", etcd: "all" }])).toThrow("76");
  });
});
