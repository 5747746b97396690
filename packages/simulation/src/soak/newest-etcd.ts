import { type EtcdBinary, etcdBinaries } from "@sd/testing";

/** The newest of all etcds that were found. @throws Error that tells how to get one, if there is none. */
export function newestEtcd(): EtcdBinary {
  const newestFirst = [...etcdBinaries()].sort((one, other) =>
    other.name.localeCompare(one.name, "en", { numeric: true }),
  );
  return newestFirst[0] as EtcdBinary;
}
