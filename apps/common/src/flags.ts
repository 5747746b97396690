import { parseArgs } from "node:util";

/** A flag or a value that cannot work: its message is the one line that the user sees. */
export class UsageError extends Error {}

/** A flag that takes a value, by name. */
export type FlagSpecs = Readonly<Record<string, { readonly multiple?: boolean }>>;

export interface Flags {
  readonly help: boolean;
  /** The last value given for a flag; `undefined` if none was. */
  one(name: string): string | undefined;
  all(name: string): readonly string[];
  /** From `--endpoints`, else `ETCD_ENDPOINTS`, else etcd's default address. */
  readonly endpoints: readonly string[];
}

const DEFAULT_ENDPOINT = "http://127.0.0.1:2379";

/**
 * Reads the command line. `--help` and `--endpoints` are known to every app.
 *
 * @throws UsageError for an unknown flag, a missing value, or anything else that was not asked for.
 */
export function readFlags(argv: readonly string[], specs: FlagSpecs, env = process.env): Flags {
  const options: NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]> = {
    help: { type: "boolean", short: "h" },
    endpoints: { type: "string", multiple: true },
  };
  for (const name of Object.keys(specs)) options[name] = { type: "string", multiple: true };
  let values: Record<string, unknown>;
  try {
    values = parseArgs({ args: [...argv], options, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
  const all = (name: string): readonly string[] => (values[name] as string[] | undefined) ?? [];
  for (const [name, { multiple }] of Object.entries(specs)) {
    if (!multiple && all(name).length > 1) throw new UsageError(`--${name} may be given once only`);
  }
  const given = all("endpoints").length > 0 ? all("endpoints") : [env["ETCD_ENDPOINTS"] ?? ""];
  const endpoints = given.flatMap((list) => list.split(",")).filter((endpoint) => endpoint.trim() !== "");
  return {
    help: values["help"] === true,
    one: (name) => all(name).at(-1),
    all,
    endpoints: endpoints.length > 0 ? endpoints.map((endpoint) => endpoint.trim()) : [DEFAULT_ENDPOINT],
  };
}

/** @throws UsageError if `text` is not a whole number in the bounds. */
export function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`--${flag} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`);
}

/** Node adds advice after the first sentence, over several lines. */
function firstSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(/\.\s|\n/)[0] ?? message;
}
