import { invalidArgument } from "@sd/core";
import { findEtcdctl, findEtcdutl, runProgram } from "./binaries.js";
import { asArguments, type Place, placeFlags } from "./flags.js";

export interface RestoreOptions {
  /** Makes cluster and member ids others than before: etcd's `--initial-cluster-token`. Default: the same. */
  readonly token?: string;
  /**
   * Lets revisions go on so many above those of the snapshot, and marks all below as compacted, as etcd
   * recommends for watchers. Not with etcd 3.4.
   */
  readonly bumpRevision?: number;
}

interface Restore extends RestoreOptions {
  readonly etcd: string;
  readonly version: string;
  readonly file: string;
  readonly dataDirectory: string;
  readonly place: Place;
}

/** Since 3.6 etcdctl does not restore any more. */
export function restoreTool(etcd: string, version: string): string {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 3 || minor >= 6 ? findEtcdutl(etcd) : findEtcdctl(etcd);
}

/** @throws SdError `SD_INVALID_ARGUMENT` for what an etcd of that version cannot do. */
export function checkRestore(version: string, { token, bumpRevision }: RestoreOptions): void {
  if (token === "") throw invalidArgument("token", "a text, or left out for the same ids", token);
  if (bumpRevision === undefined) return;
  if (!Number.isSafeInteger(bumpRevision) || bumpRevision < 1) {
    throw invalidArgument("bumpRevision", "a whole number of at least 1", bumpRevision);
  }
  if (version.startsWith("3.4.")) {
    throw invalidArgument(
      "bumpRevision",
      `left out for etcd ${version}, which cannot: take 3.5`,
      bumpRevision,
    );
  }
}

/** Makes the data of a member from a snapshot. @throws Error with the words of etcd's tool. */
export async function restoreSnapshot(restore: Restore): Promise<void> {
  const { etcd, version, file, dataDirectory, place, token = place.token, bumpRevision } = restore;
  const bump = bumpRevision === undefined ? [] : [`--bump-revision=${bumpRevision}`, "--mark-compacted"];
  const flags = asArguments({ "data-dir": dataDirectory, ...placeFlags({ ...place, token }) });
  const args = ["snapshot", "restore", file, ...flags, ...bump];
  await runProgram(restoreTool(etcd, version), args, { ETCDCTL_API: "3" });
}
