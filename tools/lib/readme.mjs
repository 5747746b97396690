/** The code in the READMEs, as programs. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "./checkout.mjs";

/** The packages whose names a block may use without importing them, where that is plain to the reader. */
export const packages = ["@sd/core", "@sd/register", "@sd/discover", "@sd/testing"];

/**
 * The READMEs of this workspace, and what else shows code to its users: paths from its root.
 *
 * @returns {string[]}
 */
export function readmes() {
  const folders = readdirSync(join(checkout, "packages")).map((name) => join("packages", name, "README.md"));
  return ["README.md", join("docs", "security.md"), ...folders];
}

/**
 * The TypeScript blocks of a README, with the line that each begins at.
 *
 * @param {string} readme path from the root of the workspace
 * @returns {{ readme: string, line: number, code: string }[]}
 */
export function codeBlocks(readme) {
  const text = readFileSync(join(checkout, readme), "utf8");
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => ({
    readme,
    line: text.slice(0, match.index).split("\n").length + 1,
    code: match[1] ?? "",
  }));
}

/** The test file that the README of @sd/testing shows to its users. */
export function consumerTest() {
  const blocks = codeBlocks(join("packages", "testing", "README.md"));
  const test = blocks.find(({ code }) => code.includes('from "vitest"'));
  if (!test) throw new Error("the README of @sd/testing shows no test file");
  return test.code;
}

/**
 * A block as a module: what it uses of our packages and does not import itself is imported for it.
 *
 * @param {string} code
 * @param {Record<string, string[]>} exported names, by package
 */
export function asModule(code, exported) {
  const imports = Object.entries(exported).flatMap(([name, names]) => {
    const used = names.filter((each) => isUsed(each, code) && !isDeclared(each, code));
    return used.length > 0 ? [`import { ${used.join(", ")} } from "${name}";\n`] : [];
  });
  return `${imports.join("")}${code}\nexport {};\n`;
}

/**
 * @param {string} name
 * @param {string} code
 */
function isUsed(name, code) {
  return new RegExp(`(?<![.\\w"'/])${name}\\b(?!:)`).test(code.replace(/\/\/.*$/gm, ""));
}

/**
 * @param {string} name
 * @param {string} code
 */
function isDeclared(name, code) {
  return new RegExp(`import \\{[^}]*\\b${name}\\b[^}]*\\}|(const|let|function|class) ${name}\\b`).test(code);
}
