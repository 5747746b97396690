/** All jobs, in the order of the table. A job is named after its file. */

import { job as idle } from "./jobs/idle.mjs";
import { job as imports } from "./jobs/import.mjs";
import { job as latency } from "./jobs/latency.mjs";
import { job as list } from "./jobs/list.mjs";
import { job as pick } from "./jobs/pick.mjs";
import { job as register } from "./jobs/register.mjs";
import { job as registerAll } from "./jobs/register-all.mjs";
import { job as restart } from "./jobs/restart.mjs";
import { job as services } from "./jobs/services.mjs";
import { job as watch } from "./jobs/watch.mjs";
import { job as watchSize } from "./jobs/watch-size.mjs";

/** @type {readonly import("./job.mjs").Job[]} */
export const jobs = [
  list,
  latency,
  watch,
  watchSize,
  register,
  registerAll,
  services,
  pick,
  idle,
  restart,
  imports,
];
