/**
 * Writes the figures of docs/reliability.md from what runs have printed: nobody types a number.
 *
 * `node tools/figures.mjs FILE…` takes files that `npm run simulate`, `bug-zoo`, `soak` and `compare` have written
 * with `--json`, keeps them in docs/figures, and writes the section anew from all that is there. A test fails if the
 * document says anything else.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { section, sectionName } from "./figures/section.mjs";
import { runMain, UsageError } from "./lib/command-line.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const folder = join(root, "docs/figures");
export const documentPath = join(root, "docs/reliability.md");

const BEGIN = "<!-- figures: written by tools/figures.mjs -->";
const END = "<!-- end of figures -->";

/** All that are kept, by the name of their section: the order of the document. */
export function keptRuns() {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
}

/**
 * The document with the figures of these runs between its marks.
 *
 * @param {string} document
 * @param {readonly import("./figures/section.mjs").Run[]} runs
 * @throws Error if it has no marks
 */
export function withFigures(document, runs) {
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END);
  if (from < 0 || to < from) throw new Error(`the document has no section between ${BEGIN} and ${END}`);
  const text = runs.map((run) => section(run)).join("\n");
  return `${document.slice(0, from + BEGIN.length)}\n\n${text}\n${document.slice(to)}`;
}

const help = `Usage: node tools/figures.mjs [FILE…]

  Keeps the figures that npm run simulate, bug-zoo, soak and compare have written with --json, and writes their section
  of docs/reliability.md anew.
`;

/**
 * The figures in a file.
 *
 * @param {string} file
 * @returns {import("./figures/section.mjs").Run}
 * @throws UsageError if it has none, before anything is written
 */
export function runIn(file) {
  try {
    const run = JSON.parse(readFileSync(file, "utf8"));
    section(run);
    return run;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `FILE must be what a command has written with --json, got ${JSON.stringify(file)} (${why})`,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runMain(async () => {
    const files = process.argv.slice(2);
    if (files.some((each) => each === "--help" || each === "-h")) {
      process.stdout.write(help);
      return 0;
    }
    const runs = files.map(runIn);
    mkdirSync(folder, { recursive: true });
    for (const run of runs) {
      writeFileSync(join(folder, `${sectionName(run)}.json`), `${JSON.stringify(run, undefined, 2)}\n`);
    }
    writeFileSync(documentPath, withFigures(readFileSync(documentPath, "utf8"), keptRuns()));
    return 0;
  });
}
