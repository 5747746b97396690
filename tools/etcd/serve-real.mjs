/** Runs a real etcd on a loopback port, with temporary data: `npm run etcd -- --real`. */

import process from "node:process";
import { positiveNumber, readFlags, UsageError } from "../lib/command-line.mjs";
import { findEtcd } from "./find-etcd.mjs";
import { startEtcd } from "./start-etcd.mjs";

/**
 * Serves until Ctrl-C.
 *
 * @param {string[]} args
 * @throws {Error} if etcd cannot be found or started, or ends by itself
 */
export async function serveReal(args) {
  const flags = readFlags({ port: { type: "string" }, help: { type: "boolean", short: "h" } }, args);
  if (flags.help) return 0;
  const port = positiveNumber("port", flags.port) ?? 2379;
  if (!Number.isInteger(port) || port > 65_535)
    throw new UsageError(`--port must be at most 65535, got ${port}`);
  const { etcd, version } = await findEtcd();
  const stopped = new Promise((resolve) => {
    // Not once: npm passes on the Ctrl-C that the terminal has sent already, and etcd must still be stopped.
    process.on("SIGINT", resolve).on("SIGTERM", resolve);
  });
  const running = await startEtcd(etcd, port);
  process.stdout.write(`etcd ${version} serves at ${running.endpoint}; it keeps nothing; Ctrl-C ends it\n`);
  const words = await Promise.race([stopped.then(() => undefined), running.ended]);
  await running.stop();
  if (words === undefined) return 0;
  throw new Error(`etcd ended: ${words}`);
}
