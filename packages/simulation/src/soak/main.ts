import { openSync, writeFileSync, writeSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Clock, sleep, systemClock } from "@sd/core";
import { positive, runCommand, whole, writable } from "../flags.js";
import { type Figures, figures } from "./figures.js";
import { Ledger } from "./ledger.js";
import { newestEtcd } from "./newest-etcd.js";
import { garbageCollection, measure, type Sample } from "./resources.js";
import { Scene } from "./scene.js";
import { Site } from "./site.js";
import { end, settle, storm } from "./soak.js";
import { table } from "./table.js";

const help = `Usage: npm run soak [-- --minutes N] [--faults N] [--seed S] [--members M] [--json FILE]

  Runs 50 registrars and 10 discoverers against a real etcd under random faults, and checks every event.

  --minutes N   how long, at least (default 2)
  --faults N    how many faults, at least (default 0); 2,000 take more than three hours
  --seed S      of the faults (default 1)
  --members M   of the cluster (default 3)
  --secure      with TLS, users, rights that come and go, and tokens that end after 5 s
  --log-file F  writes all that happens there, as it happens
  --json FILE   writes the figures there, too
`;

const STORM_MS = 50_000;
const START_MS = 5_000;
/** V8 gives memory back beside the program, after a collection. */
const GIVE_BACK_MS = 1_000;

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      minutes: { type: "string", default: "2" },
      faults: { type: "string", default: "0" },
      seed: { type: "string", default: "1" },
      members: { type: "string", default: "3" },
      secure: { type: "boolean", default: false },
      "log-file": { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (flags.help) {
    process.stdout.write(help);
    return 0;
  }
  const minutes = whole("minutes", flags.minutes);
  const faults = whole("faults", flags.faults);
  const seed = whole("seed", flags.seed);
  const members = positive("members", flags.members);
  for (const name of ["json", "log-file"] as const) writable(name, flags[name]);
  const newest = newestEtcd();
  const result = await run(newest, {
    minutes,
    faults,
    seed,
    members,
    isSecure: flags.secure,
    logFile: flags["log-file"],
  });
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(result, undefined, 2)}\n`);
  print(["", ...table(result)]);
  return result.gates.every(({ isKept }) => isKept) ? 0 : 1;
}

interface Wanted {
  readonly minutes: number;
  readonly faults: number;
  readonly seed: number;
  readonly members: number;
  readonly isSecure: boolean;
  readonly logFile: string | undefined;
}

async function run(
  { name, binary }: { readonly name: string; readonly binary: string },
  wanted: Wanted,
): Promise<Figures> {
  const { minutes, seed, members } = wanted;
  const startedAt = systemClock.now();
  const clock: Clock = {
    now: () => systemClock.now() - startedAt,
    setTimer: (ms, fire) => systemClock.setTimer(ms, fire),
  };
  using ledger = new Ledger(clock);
  if (wanted.logFile !== undefined) {
    const file = openSync(wanted.logFile, "w");
    ledger.onNote = (line) => writeSync(file, `${line}\n`);
  }
  const collectGarbage = garbageCollection();
  const samples: Sample[] = [];
  let told = 0;
  await using site = await Site.start({ binary, members, seed, isSecure: wanted.isSecure });
  const scene = new Scene(site, clock, ledger, seed);
  await sleep(clock, START_MS);
  await settle(scene);
  do {
    await storm(scene, STORM_MS);
    await settle(scene);
    collectGarbage();
    await sleep(clock, GIVE_BACK_MS);
    samples.push(measure(clock.now(), collectGarbage, scene.connections));
    print([...ledger.told.slice(told), progress(ledger, samples)]);
    told = ledger.told.length;
  } while (clock.now() < minutes * 60_000 || countOf(ledger) < wanted.faults);
  await end(scene);
  return figures({ etcd: name, seed, members, isSecure: wanted.isSecure, ledger, scene, samples });
}

function countOf({ totals }: Ledger): number {
  return [...totals.faults.values()].reduce((sum, count) => sum + count, 0);
}

function progress(ledger: Ledger, samples: readonly Sample[]): string {
  const { now, totals, broken } = ledger;
  const { rss = 0, heap = 0, handles = 0 } = samples.at(-1) ?? {};
  const violations = [...broken].map(([name, count]) => `${name}: ${count}`).join(", ") || "none";
  const mib = (bytes: number, digits: number): string => (bytes / 2 ** 20).toFixed(digits);
  return [
    `${(now / 60_000).toFixed(1)} min: ${countOf(ledger)} faults`,
    `${totals.events} events`,
    `${mib(rss, 0)} MiB (heap ${mib(heap, 1)})`,
    `${handles} handles`,
    `violations: ${violations}`,
  ].join(", ");
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

await runCommand(main);
