import { classify, EtcdFailure, failureError, type SdError } from "@sd/core";

/** The only member, as errors and streams name it. */
export const MEMORY_ENDPOINT = "memory://etcd";

/** Status and words of etcd, from its `api/v3rpc/rpctypes/error.go`. */
const refusals = {
  emptyKey: [3, "etcdserver: key is not provided"],
  keyNotFound: [3, "etcdserver: key not found"],
  valueProvided: [3, "etcdserver: value is provided"],
  leaseProvided: [3, "etcdserver: lease is provided"],
  invalidSort: [3, "etcdserver: invalid sort option"],
  duplicateKey: [3, "etcdserver: duplicate key given in txn request"],
  tooManyOperations: [3, "etcdserver: too many operations in txn request"],
  requestTooLarge: [3, "etcdserver: request is too large"],
  leaseNotFound: [5, "etcdserver: requested lease not found"],
  leaseExists: [9, "etcdserver: lease already exists"],
  noSpace: [8, "etcdserver: mvcc: database space exceeded"],
  leaseTtlTooLarge: [11, "etcdserver: too large lease TTL"],
  compacted: [11, "etcdserver: mvcc: required revision has been compacted"],
  futureRevision: [11, "etcdserver: mvcc: required revision is a future revision"],
} as const satisfies Record<string, readonly [number, string]>;

/** The error with which etcd refuses a request. */
export function refusal(reason: keyof typeof refusals): SdError {
  const [status, message] = refusals[reason];
  return transportError(status, message);
}

/** The error for a gRPC status, as the transport throws it. */
export function transportError(status: number, message: string, { isSent = true } = {}): SdError {
  const kind = classify(status, message);
  return failureError(new EtcdFailure(kind, message, { status, endpoint: MEMORY_ENDPOINT, isSent }));
}
