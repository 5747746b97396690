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
  rootUserMissing: [9, "etcdserver: root user does not exist"],
  rootRoleMissing: [9, "etcdserver: root user does not have root role"],
  userExists: [9, "etcdserver: user name already exists"],
  userEmpty: [3, "etcdserver: user name is empty"],
  userNotFound: [9, "etcdserver: user name not found"],
  roleExists: [9, "etcdserver: role name already exists"],
  roleNotFound: [9, "etcdserver: role name not found"],
  roleEmpty: [3, "etcdserver: role name is empty"],
  roleNotGranted: [9, "etcdserver: role is not granted to the user"],
  permissionNotGiven: [3, "etcdserver: permission not given"],
  permissionNotGranted: [9, "etcdserver: permission is not granted to the role"],
  permissionDenied: [7, "etcdserver: permission denied"],
  authFailed: [3, "etcdserver: authentication failed, invalid user ID or password"],
  authNotEnabled: [9, "etcdserver: authentication is not enabled"],
  authOldRevision: [3, "etcdserver: revision of auth store is old"],
  invalidToken: [16, "etcdserver: invalid auth token"],
  invalidAuthManagement: [3, "etcdserver: invalid auth management"],
  noPasswordUser: [2, "auth: authentication failed, password was given for no password user"],
  noAuthStatus: [12, "unknown method AuthStatus for service etcdserverpb.Auth"],
} as const satisfies Record<string, readonly [number, string]>;

/** Why etcd refuses. */
export type Refusal = keyof typeof refusals;

/** The error with which etcd refuses a request. */
export function refusal(reason: Refusal): SdError {
  const [status, message] = refusals[reason];
  return transportError(status, message);
}

/** The error for a gRPC status, as the transport throws it. */
export function transportError(status: number, message: string, { isSent = true } = {}): SdError {
  const kind = classify(status, message);
  return failureError(new EtcdFailure(kind, message, { status, endpoint: MEMORY_ENDPOINT, isSent }));
}
