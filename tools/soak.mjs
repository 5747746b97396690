/** Finds the etcds of the test matrix, and runs a command of the simulation that needs one: `npm run soak`. */

import { delimiter } from "node:path";
import process from "node:process";
import { findEtcd, findNewerEtcds } from "./etcd/find-etcd.mjs";

const { etcd, etcdctl } = await findEtcd();
process.env["SD_ETCD_BIN"] = etcd;
process.env["SD_ETCDCTL"] ??= etcdctl;
// Without them it runs with that one.
const newer = await findNewerEtcds().catch(() => []);
process.env["SD_ETCD_NEWER_BIN"] ??= newer.map(({ etcd: binary }) => binary).join(delimiter);
await import("./simulate.mjs");
