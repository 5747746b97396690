import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { conditions } from "../conditions.js";
import { positive, runCommand, UsageError, writable } from "../flags.js";
import { defects } from "./defects.js";
import { hunt, plant } from "./plant.js";

const help = `Usage: npm run bug-zoo [-- --seeds N] [--only TEXT] [--show]

  Plants known mistakes into a copy of the sources, one after the other, and lets the simulation find each.

  --seeds N    how many seeds it may take (default 300)
  --only TEXT  only the defects whose name holds this
  --json FILE  writes the figures there, too
  --show       prints the shortest schedule that was found for each
`;

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      seeds: { type: "string", default: "300" },
      only: { type: "string", default: "" },
      show: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (flags.help) {
    process.stdout.write(help);
    return 0;
  }
  const seeds = positive("seeds", flags.seeds);
  const chosen = defects.filter(({ name }) => name.includes(flags.only));
  if (chosen.length === 0) {
    throw new UsageError(`--only must be part of the name of a defect, got ${JSON.stringify(flags.only)}`);
  }
  writable("json", flags.json);
  const width = Math.max(...chosen.map(({ name }) => name.length));
  process.stdout.write(`${"defect".padEnd(width)}  breaks  seed  seeds   time\n`);
  let missed = 0;
  const results: object[] = [];
  const folder = join(fileURLToPath(import.meta.url), "..", "zoo");
  await mkdir(folder, { recursive: true });
  for (const [index, defect] of chosen.entries()) {
    const startedAt = performance.now();
    const file = join(folder, `${index}.mjs`);
    await plant(defect, file);
    const caught = await hunt(file, {
      from: 1,
      seeds,
      invariants: defect.breaks,
      isShrunk: flags.show,
      isSilent: defect.isSilent,
    });
    const time = `${((performance.now() - startedAt) / 1_000).toFixed(1)} s`;
    const found = caught
      ? [
          caught.invariant.padEnd(6),
          `${caught.seed}`.padStart(4),
          `${caught.seeds}`.padStart(5),
          time.padStart(6),
        ]
      : ["NOT FOUND", time];
    if (!caught) missed += 1;
    const { name, breaks } = defect;
    results.push({ name, breaks, caughtBy: caught?.invariant, seed: caught?.seed, seeds: caught?.seeds });
    process.stdout.write(`${defect.name.padEnd(width)}  ${found.join("  ")}\n`);
    if (flags.show && caught) process.stdout.write(`${caught.lines.join("\n")}\n`);
  }
  if (flags.json !== undefined) {
    const figures = { ...conditions("bug-zoo", {}), found: chosen.length - missed, results };
    await writeFile(flags.json, `${JSON.stringify(figures, undefined, 2)}\n`);
  }
  process.stdout.write(`\n${chosen.length - missed} of ${chosen.length} defects found\n`);
  return missed === 0 ? 0 : 1;
}

await runCommand(main);
