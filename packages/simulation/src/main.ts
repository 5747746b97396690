import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { conditions } from "./conditions.js";
import { failureLines } from "./failure-text.js";
import { oneOf, positive, runCommand, whole, writable } from "./flags.js";
import { Progress } from "./progress.js";
import { Totals } from "./report.js";
import { shrink } from "./shrink.js";
import { contest, simulate } from "./simulate.js";
import { garbageCollection, measure, type Sample } from "./soak/resources.js";

const help = `Usage: npm run simulate [-- --seeds N] [--from S] [--seed S] [--silent | --rivals] [--log]

  Runs registrations and discoveries against an etcd in memory, under faults, on virtual time. Says on stderr
  every ten seconds how far it is.

  --seeds N   how many seeds (default 1000)
  --from S    the first of them (default 1)
  --seed S    only this one
  --rivals    two or three processes want one key, and nobody else touches it (F26)
  --silent    with trouble that only a comparison with etcd can find (D9)
  --log       prints all that happened (with --seed)
  --json FILE writes the figures there, too
`;

/** How often the memory is measured in the course of a run. */
const SAMPLES = 10;
/** So many failing seeds are told in full. */
const MAX_FAILURES = 3;

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      seeds: { type: "string" },
      from: { type: "string" },
      seed: { type: "string" },
      rivals: { type: "boolean", default: false },
      silent: { type: "boolean", default: false },
      log: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (flags.help) {
    process.stdout.write(help);
    return 0;
  }
  oneOf({ seed: flags.seed !== undefined, seeds: flags.seeds !== undefined });
  oneOf({ seed: flags.seed !== undefined, from: flags.from !== undefined });
  oneOf({ rivals: flags.rivals, silent: flags.silent });
  const first = flags.seed === undefined ? whole("from", flags.from ?? "1") : whole("seed", flags.seed);
  const count = flags.seed === undefined ? positive("seeds", flags.seeds ?? "1000") : 1;
  writable("json", flags.json);
  const startedAt = performance.now();
  const totals = new Totals();
  const failed: number[] = [];
  const collectGarbage = garbageCollection();
  const samples: Sample[] = [];
  const progress = new Progress(count, (line) => process.stderr.write(`${line}\n`));
  for (let seed = first; seed < first + count; seed += 1) {
    const outcome = await (flags.rivals ? contest(seed) : simulate(seed, { isSilent: flags.silent }));
    totals.add(outcome.totals);
    if (flags.log) print(outcome.log);
    if (outcome.violations.length > 0) {
      failed.push(seed);
      if (failed.length <= MAX_FAILURES) print(failureLines(await shrink(outcome)));
      else print([`seed ${seed}: ${outcome.violations.map(({ invariant }) => invariant).join(" ")}`]);
    }
    const done = seed - first + 1;
    progress.tell(done, failed.length);
    if (done % Math.ceil(count / SAMPLES) === 0)
      samples.push(measure(performance.now() - startedAt, collectGarbage));
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  print([
    `seeds                    ${count}, from ${first}: ${(count / seconds).toFixed(1)} a second`,
    ...totals.lines(),
    `heap after gc            ${samples.map(({ heap }) => mib(heap)).join(", ")} MiB`,
    `RSS                      ${samples.map(({ rss }) => mib(rss)).join(", ")} MiB`,
    `seeds with violations    ${failed.length}${failed.length > 0 ? `: ${failed.join(" ")}` : ""}`,
  ]);
  if (flags.json !== undefined) {
    const figures = {
      ...conditions("simulate", {}),
      first,
      seedsPerSecond: Math.round((count / seconds) * 10) / 10,
      ...totals.figures,
      heapMib: samples.map(({ heap }) => mib(heap)),
      rssMib: samples.map(({ rss }) => mib(rss)),
      failed,
    };
    writeFileSync(flags.json, `${JSON.stringify(figures, undefined, 2)}\n`);
  }
  return failed.length === 0 ? 0 : 1;
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

await runCommand(main);
