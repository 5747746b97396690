/**
 * Outlives the demo for a moment: kills what it started if it died without doing so.
 *
 * The demo writes `+<pid>` and `-<pid>` lines to stdin. The end of stdin is the demo's end, however
 * it came: a `kill -9` too.
 */

import process from "node:process";
import { createInterface } from "node:readline";

/** @type {Set<number>} */
const running = new Set();

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) process.on(signal, () => {});

for await (const line of createInterface({ input: process.stdin })) {
  if (line.startsWith("+")) running.add(Number(line.slice(1)));
  if (line.startsWith("-")) running.delete(Number(line.slice(1)));
}

for (const pid of running) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has gone by itself.
  }
}
