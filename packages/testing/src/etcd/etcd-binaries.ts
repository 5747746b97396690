import { execFileSync } from "node:child_process";
import { delimiter } from "node:path";
import { cleanEnv, findEtcd } from "./binaries.js";

/** An etcd to test with. */
export interface EtcdBinary {
  /** Like `etcd 3.5.16`. */
  readonly name: string;
  readonly binary: string;
}

/**
 * The etcds of the test matrix: `SD_ETCD_BIN` (else the `PATH`), and those of `SD_ETCD_NEWER_BIN`, which
 * are separated as in the `PATH`.
 *
 * @throws Error if there is none: a test that needs a real etcd fails without one, it is not skipped.
 */
export function etcdBinaries(): readonly EtcdBinary[] {
  const newer = (process.env["SD_ETCD_NEWER_BIN"] ?? "").split(delimiter).filter((binary) => binary !== "");
  return [findEtcd(), ...newer].map((binary) => {
    const answer = execFileSync(binary, ["--version"], { encoding: "utf8", env: cleanEnv() });
    const version = /etcd Version: (\S+)/.exec(answer);
    return { name: `etcd ${version?.[1] ?? "of unknown version"}`, binary };
  });
}

/**
 * The oldest and the newest of the test matrix: enough for tests that take a minute or more for each. All of it
 * if `SD_ETCD_ALL` is set.
 */
export function oldestAndNewestEtcd(): readonly EtcdBinary[] {
  const all = [...etcdBinaries()].sort((one, other) =>
    one.name.localeCompare(other.name, "en", { numeric: true }),
  );
  return process.env["SD_ETCD_ALL"] ? all : all.filter((_, index) => index === 0 || index === all.length - 1);
}
