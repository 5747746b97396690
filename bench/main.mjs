/** Runs the benchmarks: `npm run bench [-- --job NAME --runs N --json FILE]`. */

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import process from "node:process";
import { EtcdProcess } from "@sd/testing";
import { compareVersions, findEtcd, findNewerEtcds } from "../tools/etcd/find-etcd.mjs";
import { readFlags, requireWritable, runMain, UsageError, wholeNumber } from "../tools/lib/command-line.mjs";
import { alternate } from "./alternate.mjs";
import { jobs } from "./jobs.mjs";
import { RawEtcd } from "./raw-etcd.mjs";
import { summarise, table } from "./table.mjs";

const help = `Usage: npm run bench [-- --job NAME[,NAME…]] [-- --runs N] [-- --json FILE]

  Measures the built packages beside etcd3 and bare grpc-js, on a real etcd, and prints one table.

  --job NAMES  only these: ${jobs.map(({ name }) => name).join(", ")}
  --runs N     alternating runs of each job (default 5; jobs that take minutes have a limit of their own)
  --json FILE  writes all figures there
`;

await runMain(async () => {
  const flags = readFlags({
    job: { type: "string" },
    runs: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (flags.help) {
    process.stdout.write(help);
    return 0;
  }
  const chosen = chooseJobs(flags.job);
  const runs = wholeNumber("runs", flags.runs) ?? 5;
  requireWritable("json", flags.json);
  const { etcd, version } = await newestEtcd();
  const versions = { etcd: version, node: process.versions.node, ...packageVersions() };
  const machine = `${cpus().length} x ${cpus()[0]?.model}`;
  const title = Object.entries({ ...versions, cpu: machine }).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`${title.join(", ")}\n`);
  const lines = [];
  for (const job of chosen) {
    process.stderr.write(`${job.name}\n`);
    const count = Math.min(runs, job.maxRuns ?? runs);
    lines.push(...summarise(job, await runJob(job, etcd, count)));
    if (flags.json !== undefined) {
      const report = { date: new Date().toISOString(), versions, machine, lines };
      writeFileSync(flags.json, `${JSON.stringify(report, undefined, 2)}\n`);
    }
  }
  process.stdout.write(`\n${table(lines)}\n`);
  return 0;
});

/**
 * @param {import("./job.mjs").Job} job
 * @param {string} binary
 * @param {number} runs
 */
async function runJob(job, binary, runs) {
  const etcd = await EtcdProcess.start({ binary });
  const raw = new RawEtcd(etcd.endpoint);
  try {
    const setting = { endpoint: etcd.endpoint, etcd: raw, process: etcd };
    await job.prepare?.(setting);
    return await alternate(job, setting, runs);
  } finally {
    raw.close();
    await etcd[Symbol.asyncDispose]();
  }
}

/** @param {string | undefined} names */
function chooseJobs(names) {
  const wanted = names?.split(",") ?? jobs.map(({ name }) => name);
  return wanted.map((name) => {
    const job = jobs.find((each) => each.name === name);
    if (job) return job;
    throw new UsageError(
      `--job must be of ${jobs.map((each) => each.name).join(", ")}, got ${JSON.stringify(name)}`,
    );
  });
}

async function newestEtcd() {
  const found = [await findEtcd(), ...(await findNewerEtcds().catch(() => []))];
  return found.reduce((a, b) => (compareVersions(a.version, b.version) >= 0 ? a : b));
}

function packageVersions() {
  const require = createRequire(import.meta.url);
  return Object.fromEntries(
    ["etcd3", "@grpc/grpc-js"].map((name) => {
      const manifest = /** @type {{ version: string }} */ (
        JSON.parse(readFileSync(require.resolve(`${name}/package.json`), "utf8"))
      );
      return [name, manifest.version];
    }),
  );
}
