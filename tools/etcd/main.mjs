/** Prints where etcd is, after fetching it if need be: `node tools/etcd/main.mjs [--suite NAME | --newer] [--json]`. */

import process from "node:process";
import { readFlags, runMain, UsageError } from "../lib/command-line.mjs";
import { findEtcd } from "./find-etcd.mjs";

const help = `Usage: node tools/etcd/main.mjs [--newer | --suite NAME] [--json]

  --newer        a newer etcd than the machine's own, from its distribution's newer suites
  --suite NAME   the etcd of one suite of the distribution, for example trixie
  --json         one JSON object instead of lines
`;

await runMain(async () => {
  const flags = readFlags({
    newer: { type: "boolean" },
    suite: { type: "string" },
    json: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  });
  if (flags.help) {
    process.stdout.write(help);
    return 0;
  }
  if (flags.newer && flags.suite !== undefined)
    throw new UsageError("--newer and --suite exclude each other");
  if (flags.suite !== undefined && !/^[a-z0-9][a-z0-9.-]*$/.test(flags.suite)) {
    throw new UsageError(`--suite must be the name of a suite, got ${JSON.stringify(flags.suite)}`);
  }
  const found = await findEtcd({ version: flags.newer ? "newer" : "system", suite: flags.suite });
  const text = flags.json ? JSON.stringify(found) : `etcd ${found.version}\n${found.etcd}\n${found.etcdctl}`;
  process.stdout.write(`${text}\n`);
  return 0;
});
