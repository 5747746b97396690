/**
 * Which test asserts which row of the fault matrix, read from the titles of the tests: `F8 restored …`.
 *
 * `node tools/fault-table.mjs` writes them into the table of docs/reliability.md; its test fails if that is not done.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
export const documentPath = join(root, "docs/reliability.md");

/**
 * What a suite begins with says which etcd it runs on.
 *
 * @type {readonly (readonly [RegExp, string])[]}
 */
const suites = [
  [/newest\(\)|etcdBinaries\(\)\.slice\(-1\)/, "newest"],
  [/oldestAndNewestEtcd\(\)/, "oldest and newest"],
  [/etcdBinaries\(\)/, "all"],
];

/** @typedef {{ row: number, file: string, etcd: string }} Assertion */

/**
 * The rows that the titles in one file name.
 *
 * @param {string} file relative to the root
 * @param {string} source
 * @returns {Assertion[]}
 */
export function assertionsOf(file, source) {
  /** @type {Assertion[]} */
  const found = [];
  let etcd = file.includes(".integration.") ? "newest" : "MemoryEtcd";
  for (const line of source.split("\n")) {
    if (/describe\.each\(/.test(line)) etcd = suites.find(([pattern]) => pattern.test(line))?.[1] ?? etcd;
    const titles = line.match(/(["'`]).*\1/)?.[0] ?? "";
    for (const [, row] of titles.matchAll(/(?<![\w%])F([1-9]\d?)(?!\w)/g)) {
      found.push({ row: Number(row), file, etcd });
    }
  }
  return found;
}

/** Those of all tests of this workspace. */
export function assertions() {
  return ["packages", "apps"].flatMap((folder) =>
    readdirSync(join(root, folder)).flatMap((name) =>
      ["src", "test"].flatMap((part) => filesOf(join(root, folder, name, part))),
    ),
  );
}

/**
 * @param {string} folder
 * @returns {Assertion[]}
 */
function filesOf(folder) {
  /** @type {string[]} */
  let names = [];
  try {
    names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      return assertionsOf(relative(root, path), readFileSync(path, "utf8"));
    });
}

/**
 * The document with the tests of each row in its last column.
 *
 * @param {string} document
 * @param {readonly Assertion[]} found
 * @throws Error if a row has no test, or tests have no row.
 */
export function withTests(document, found) {
  const untold = new Set(found.map(({ row }) => row));
  const text = document.replace(/^\| F(\d+) \| (.*?) \| .*\|$/gm, (_, row, fault) => {
    untold.delete(Number(row));
    const cells = cellsOf(found.filter((each) => each.row === Number(row)));
    if (cells === "") throw new Error(`no test names F${row}`);
    return `| F${row} | ${fault} | ${cells} |`;
  });
  if (untold.size > 0) {
    throw new Error(`rows that tests name and docs/reliability.md has not: ${[...untold].join(", ")}`);
  }
  return text;
}

/** @param {readonly Assertion[]} found */
function cellsOf(found) {
  /** @type {Map<string, Set<string>>} */
  const byFile = new Map();
  for (const { file, etcd } of found) byFile.set(file, new Set([...(byFile.get(file) ?? []), etcd]));
  return [...byFile]
    .map(([file, etcds]) => {
      const name = basename(file).replace(/(\.integration)?\.test\.ts$/, "");
      return `[${name}](../${file}) (${[...etcds].join(", ")})`;
    })
    .join(", ");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(documentPath, withTests(readFileSync(documentPath, "utf8"), assertions()));
}
