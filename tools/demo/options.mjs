/** The flags of the demo. */

import { positiveNumber, readFlags, UsageError } from "../lib/command-line.mjs";

/** A timer of Node that is to take longer takes no time at all. */
const MAX_SECONDS = 2_000_000;

export const help = `Usage: npm run demo [-- --seconds N] [-- --endpoints URL[,URL…]]

  Runs the client and two servers side by side, on an etcd in memory, until Ctrl-C.

  --seconds N       ends by itself after N seconds
  --endpoints URLs  uses this etcd instead (also: the variable ETCD_ENDPOINTS)
  --help            shows this
`;

/**
 * Reads the flags of the demo.
 *
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 * @returns {{ help: boolean, seconds: number | undefined, endpoints: string | undefined }}
 * @throws {UsageError}
 */
export function readOptions(args, env) {
  const flags = readFlags(
    { seconds: { type: "string" }, endpoints: { type: "string" }, help: { type: "boolean", short: "h" } },
    args,
  );
  const endpoints = flags.endpoints ?? (env["ETCD_ENDPOINTS"] || undefined);
  const source = flags.endpoints === undefined ? "ETCD_ENDPOINTS" : "--endpoints";
  for (const url of endpoints?.split(",") ?? []) {
    if (isEtcdUrl(url)) continue;
    // What stands before an @ may be a password.
    throw new UsageError(
      `${source} must be http:// or https:// URLs, got ${JSON.stringify(url.replace(/^.*@/, ""))}`,
    );
  }
  const seconds = positiveNumber("seconds", flags.seconds);
  if (seconds !== undefined && seconds > MAX_SECONDS) {
    throw new UsageError(`--seconds must be at most ${MAX_SECONDS}, got ${seconds}`);
  }
  return { help: flags.help ?? false, seconds, endpoints };
}

/** @param {string} text */
const isEtcdUrl = (text) => /^https?:\/\/[^\s/]+\/?$/.test(text.trim()) && URL.canParse(text.trim());
