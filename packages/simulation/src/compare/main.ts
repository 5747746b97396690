import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { conditions } from "../conditions.js";
import { runCommand, UsageError, writable } from "../flags.js";
import { newestEtcd } from "../soak/newest-etcd.js";
import { Lab, UNTIL_MS } from "./lab.js";
import { leaseScenarios, TTL_SECONDS } from "./lease-scenarios.js";
import { type Library, ours, plainEtcd3 } from "./library.js";
import { type LeaseResult, runLease } from "./run-lease.js";
import { runWatch, type WatchResult } from "./run-watch.js";
import { watchScenarios } from "./watch-scenarios.js";

const help = `Usage: npm run compare [-- --json FILE] [--only TEXT]

  Puts the plain etcd3 package and ours under the same faults, at the same time, against a real etcd. Fails if ours is wrong.

  --json FILE   writes the figures there, too
  --only TEXT   only the schedules whose names hold it
`;

/** As `packages/core` pins it. */
const ETCD3 = "etcd3 1.1.2";
const libraries: readonly Library[] = [plainEtcd3, ours];

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      json: { type: "string" },
      only: { type: "string", default: "" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (flags.help) {
    process.stdout.write(help);
    return 0;
  }
  const names = [...watchScenarios, ...leaseScenarios].map((scenario) => scenario.name);
  if (!names.some((each) => each.includes(flags.only))) {
    throw new UsageError(`--only must be part of the name of a schedule, got ${JSON.stringify(flags.only)}`);
  }
  writable("json", flags.json);
  const { name, binary } = newestEtcd();
  await using lab = await Lab.start(binary);
  const limits = `never: not within ${UNTIL_MS / 1_000} s (a key: ${UNTIL_MS / 2_000} s)`;
  print([
    `${name}, ${ETCD3}, node ${process.version}, TTL ${TTL_SECONDS} s; ${limits}`,
    "",
    ...head(watchHead),
  ]);
  const watches: Record<string, readonly WatchResult[]> = {};
  const leases: Record<string, readonly LeaseResult[]> = {};
  for (const [index, scenario] of watchScenarios.entries()) {
    if (!scenario.name.includes(flags.only)) continue;
    const results = await runWatch(lab, libraries, scenario, `/watch-${index}/`);
    watches[scenario.name] = results;
    print(results.map((each) => row([scenario.name, each.library, ...watchCells(each)])));
  }
  print(["", ...head(leaseHead)]);
  for (const [index, scenario] of leaseScenarios.entries()) {
    if (!scenario.name.includes(flags.only)) continue;
    const results = await runLease(lab, libraries, scenario, `/lease-${index}/`);
    leases[scenario.name] = results;
    print(results.map((each) => row([scenario.name, each.library, ...leaseCells(each)])));
  }
  if (flags.json !== undefined) {
    const figures = { ...conditions("compare", { etcd: name, etcd3: ETCD3 }), watches, leases };
    writeFileSync(flags.json, `${JSON.stringify(figures, undefined, 2)}\n`);
  }
  const isRight =
    Object.values(watches).flat().filter(isOurs).every(isTold) &&
    Object.values(leases).flat().filter(isOurs).every(isThere);
  return isRight ? 0 : 1;
}

function isOurs({ library }: { readonly library: string }): boolean {
  return library === ours.name;
}

function isTold({ twice, wrongKeys, rightAfterMs }: WatchResult): boolean {
  return twice === 0 && wrongKeys === 0 && rightAfterMs !== undefined;
}

function isThere({ needless, thereAfterMs }: LeaseResult): boolean {
  return needless === 0 && thereAfterMs !== undefined;
}

const watchHead = ["a watch", "", "events", "lost", "twice", "wrong keys at the end", "right after"];
const leaseHead = ["a key under a lease", "", "writes", "needless", "went away", "there after"];

function watchCells({ events, untold, twice, wrongKeys, rightAfterMs }: WatchResult): (string | number)[] {
  // What a list has put right was not lost, though it was not told one by one.
  const lost = wrongKeys === 0 && untold > 0 ? `0 (${untold} in a list)` : untold;
  return [events, lost, twice, wrongKeys, time(rightAfterMs)];
}

function leaseCells({ writes, needless, deletes, thereAfterMs }: LeaseResult): (string | number)[] {
  return [writes, needless, deletes, time(thereAfterMs)];
}

function time(ms: number | undefined): string {
  return ms === undefined ? "never" : `${(ms / 1_000).toFixed(1)} s`;
}

function head(cells: readonly string[]): string[] {
  return [row(cells), row(cells.map(() => "---"))];
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

await runCommand(main);
// A watcher of etcd3 goes on after its client was closed, and would keep the process for ever.
process.exit();
