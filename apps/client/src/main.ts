#!/usr/bin/env node
import { subscribe } from "node:diagnostics_channel";
import { excerpt, log, readFlags, runApp, stopSignal, warn, wholeNumber } from "@sd/app-common";
import { createClient, type SdChannels, SdError } from "@sd/core";
import { type PrefixDiscovery, startPrefixDiscovery } from "@sd/discover";
import { cacheFile, makeCacheFolder } from "./cache-folder.js";

const usage = `Lists and watches prefixes in etcd, and prints the live addresses until Ctrl-C.

  --prefix PREFIX    what to watch, ending with a slash; may be given often
                     (default: /web/ and /gRPC/)
  --every SECONDS    how often to print the whole list (default 10)
  --cache FOLDER     where to keep what is known, to start from without etcd;
                     made if it is not there (default: $SD_CACHE, else nowhere)
  --endpoints LIST   etcd's addresses, separated by commas
                     (default: $ETCD_ENDPOINTS, else http://127.0.0.1:2379)
  --help
`;

async function main(): Promise<void> {
  const flags = readFlags(process.argv.slice(2), { prefix: { multiple: true }, every: {}, cache: {} });
  if (flags.help) {
    process.stdout.write(usage);
    return;
  }
  const prefixes = flags.all("prefix").length > 0 ? [...new Set(flags.all("prefix"))] : ["/web/", "/gRPC/"];
  const everyMs = 1_000 * wholeNumber("every", flags.one("every") ?? "10", 1, 86_400);
  const cache = flags.one("cache") ?? (process.env["SD_CACHE"] || undefined);
  if (cache !== undefined) makeCacheFolder(cache);
  const stop = stopSignal();

  await using etcd = createClient({ endpoints: flags.endpoints });
  const discoveries = prefixes.map((prefix) =>
    startPrefixDiscovery(etcd, prefix, cache === undefined ? {} : { cacheFile: cacheFile(cache, prefix) }),
  );
  const reports = discoveries.map((discovery) => report(discovery));
  reportStates(discoveries);
  subscribe("sd:cache:failed", (message) => reportCache(message as SdChannels["sd:cache:failed"]));
  const printing = setInterval(() => log(formatMap(discoveries)), everyMs);

  await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
  clearInterval(printing);
  await etcd.close();
  await Promise.all(reports);
}

/** The changes of one prefix, from the present on, or from what the cache holds, until it is closed. */
async function report(discovery: PrefixDiscovery): Promise<void> {
  try {
    await discovery.usable();
  } catch (error) {
    if (SdError.is(error, "SD_CLOSED")) return;
    throw error;
  }
  log(`watching prefix:${discovery.prefix} now...`);
  for await (const change of discovery.changes()) {
    const { key, value } = change.instance;
    log(change.type === "removed" ? `del key: ${key}` : `put key : ${key} val: ${excerpt(value)}`);
  }
}

/** All prefixes share one connection: an outage is told once, and its end. */
function reportStates(discoveries: readonly PrefixDiscovery[]): void {
  let isTold = false;
  for (const discovery of discoveries) {
    discovery.subscribe((state) => {
      if ((state.status === "syncing" || state.status === "stale") && !isTold) {
        isTold = true;
        const { error } = state;
        warn(`etcd cannot be heard, trying on: ${error instanceof Error ? error.message : String(error)}`);
      } else if (isTold && discoveries.every(({ state: { status } }) => status === "live")) {
        isTold = false;
        log("etcd is heard again");
      }
    });
  }
}

function reportCache({ prefix, operation, error }: SdChannels["sd:cache:failed"]): void {
  const why = error instanceof Error ? error.message : String(error);
  warn(`cannot ${operation} the cache of ${prefix}: ${excerpt(why)}`);
}

/** As Go prints a map: `map[key:value key:value]`, sorted by key. */
function formatMap(discoveries: readonly PrefixDiscovery[]): string {
  const entries = discoveries.flatMap(({ snapshot }) => snapshot.instances);
  const sorted = entries.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return `map[${sorted.map(({ key, value }) => `${key}:${excerpt(value)}`).join(" ")}]`;
}

await runApp(main);
