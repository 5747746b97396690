import { parseArgs } from "node:util";
import { behaviours, type EtcdVersion } from "../memory/behaviour.js";

/** A flag or a value that cannot work: its message is the one line that the user sees. */
export class UsageError extends Error {}

/** What the command was asked for. */
export interface Flags {
  readonly help: boolean;
  readonly port: number;
  readonly host: string;
  readonly allowRemote: boolean;
  readonly version: EtcdVersion;
  /** Changes that can be watched at least; `undefined`: all. */
  readonly keepChanges: number | undefined;
}

const versions = Object.keys(behaviours) as EtcdVersion[];

export const help = `Usage: sd-etcd [etcd] [flags]

  An etcd in memory: any client of etcd can talk to it. It keeps nothing, has no encryption,
  and is for tests and demos only. Ctrl-C ends it.

  --port <number>      where it listens; 0 takes a free port (default 2379)
  --host <address>     the address that it listens on (default 127.0.0.1)
  --allow-remote       needed for an address that other machines can reach
  --like <version>     which etcd it answers like: ${versions.join(", ")} (default 3.5.30)
  --keep-changes <n>   compacts all but the last so many changes; 0 keeps all, and grows (default 50000)
  --help               shows this
`;

/** Reads the command line. @throws UsageError for anything that was not asked for. */
export function readFlags(argv: readonly string[]): Flags {
  const args = argv[0] === "etcd" ? argv.slice(1) : [...argv];
  const { help: wantsHelp = false, port, host, like, ...rest } = parse(args);
  return {
    help: wantsHelp,
    port: portNumber(port ?? "2379"),
    host: host ?? "127.0.0.1",
    allowRemote: rest["allow-remote"] ?? false,
    version: knownVersion(like ?? "3.5.30"),
    keepChanges: changeCount(rest["keep-changes"] ?? "50000"),
  };
}

function parse(args: string[]) {
  try {
    const options = {
      port: { type: "string" },
      host: { type: "string" },
      "allow-remote": { type: "boolean" },
      like: { type: "string" },
      "keep-changes": { type: "string" },
      help: { type: "boolean", short: "h" },
    } as const;
    return parseArgs({ args, options, allowPositionals: false }).values;
  } catch (error) {
    // Node adds advice after the first sentence, over several lines.
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split(/\.\s|\n/)[0] ?? message);
  }
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new UsageError(`--port must be a whole number from 0 to 65535, got ${JSON.stringify(text)}`);
}

function changeCount(text: string): number | undefined {
  if (/^\d{1,15}$/.test(text)) return Number(text) || undefined;
  throw new UsageError(`--keep-changes must be a whole number from 0, got ${JSON.stringify(text)}`);
}

function knownVersion(text: string): EtcdVersion {
  const version = versions.find((each) => each === text);
  if (version) return version;
  throw new UsageError(`--like must be one of ${versions.join(", ")}, got ${JSON.stringify(text)}`);
}
