import { cpus, loadavg } from "node:os";
import process from "node:process";

/** When, with what and on what a command was run: what figures mean nothing without. */
export interface Conditions {
  readonly date: string;
  /** As it can be typed again. */
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly cores: number;
  /** The load average of the last minute, when it ended. */
  readonly load: number;
}

/** Flags that say where something is written, with their value. */
const files = ["--json", "--log-file"];

/** The flags but those of files, however they are written: what is published names no place on a machine. */
export function flagsOf(given: readonly string[]): string[] {
  return given.filter(
    (each, index) => !files.includes(each.split("=")[0] ?? "") && !files.includes(given[index - 1] ?? ""),
  );
}

/** @param script of package.json */
export function conditions(script: string, versions: Readonly<Record<string, string>>): Conditions {
  const flags = flagsOf(process.argv.slice(2));
  return {
    // biome-ignore lint/style/noRestrictedGlobals: the day of a run is no duration
    date: new Date().toISOString(),
    command: ["npm run", script, ...(flags.length > 0 ? ["--", ...flags] : [])].join(" "),
    versions: { ...versions, node: process.version },
    cores: cpus().length,
    load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}
