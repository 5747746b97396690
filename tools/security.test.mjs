/** What SECURITY.md and docs/security.md say names its tests: these are there, under these names. */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkout } from "./lib/checkout.mjs";

/** @param {string} file */
const read = (file) => readFileSync(join(checkout, file), "utf8");

/**
 * The tests that a text names: `file`: "title", "title"; "same" is the file before.
 *
 * @param {string} text
 */
function namedTests(text) {
  let file = "";
  /** @type {[file: string, title: string][]} */
  const tests = [];
  for (const [, path, same, titles = ""] of text.matchAll(
    /(?:`([^`\s]+\.test\.m?ts|[^`\s]+\.test\.mjs)`|\((same)): ((?:"[^"]+"(?:, )?)+)/g,
  )) {
    if (path !== undefined) file = path;
    else if (same === undefined) continue;
    for (const [, title = ""] of titles.matchAll(/"([^"]+)"/g)) tests.push([file, title]);
  }
  return tests;
}

describe("docs/security.md", () => {
  const tests = namedTests(read("docs/security.md"));

  it("names a test for each of its sections", () => {
    expect(tests.length).toBeGreaterThanOrEqual(30);
    const sections = read("docs/security.md").split(/^## /m).slice(1);
    for (const section of sections) expect(section).toMatch(/\.test\.(ts|mjs)`: "/);
  });

  it.each(tests)("%s has: %s", (file, title) => {
    expect(read(file)).toContain(title);
  });
});

describe("SECURITY.md", () => {
  it("links to what is there", () => {
    const links = [...read("SECURITY.md").matchAll(/\]\(([^)#]+)(?:#([^)]+))?\)/g)];
    expect(links.length).toBeGreaterThanOrEqual(3);
    for (const [, file = "", anchor] of links) {
      expect(existsSync(join(checkout, dirname("SECURITY.md"), file))).toBe(true);
      const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
        heading
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, "")
          .replaceAll(" ", "-"),
      );
      if (anchor !== undefined) expect(headings).toContain(anchor);
    }
  });
});
