import { behaviours, type EtcdVersion } from "../../src/index.js";

/** The behaviour that a real version is compared with: its own, else that of the newest. */
export function likeOf(version: string): EtcdVersion {
  const known = Object.keys(behaviours) as EtcdVersion[];
  return known.find((each) => each === version) ?? (version.startsWith("3.4.") ? "3.4.23" : "3.5.30");
}
