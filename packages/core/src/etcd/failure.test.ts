import { describe, expect, it } from "vitest";
import { SdError, type SdErrorCode } from "../kit/errors.js";
import {
  classify,
  EtcdFailure,
  type FailureKind,
  failureError,
  failureOf,
  isLasting,
  isNotApplied,
} from "./failure.js";

/** Status and words as etcd and grpc-js say them. */
const table: [status: number, message: string, kind: FailureKind][] = [
  [1, "Cancelled on client", "canceled"],
  [2, "context deadline exceeded", "unknown"],
  [2, "rpc error: code = PermissionDenied desc = etcdserver: permission denied", "permission"],
  [2, "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token", "token"],
  [3, "etcdserver: key is not provided", "invalid"],
  [3, "etcdserver: user name is empty", "auth"],
  [3, "etcdserver: authentication failed, invalid user ID or password", "auth"],
  [3, "etcdserver: revision of auth store is old", "token"],
  [3, "etcdserver: request is too large", "invalid"],
  [8, "grpc: received message larger than max (3000000 vs. 2097152)", "invalid"],
  [4, "Deadline exceeded", "timeout"],
  [5, "etcdserver: requested lease not found", "lease-not-found"],
  [7, "etcdserver: permission denied", "permission"],
  [7, "whatever", "permission"],
  [8, "etcdserver: mvcc: database space exceeded", "no-space"],
  [8, "etcdserver: too many requests", "overloaded"],
  [8, "Received message larger than max (5000000 vs 4194304)", "too-large"],
  [8, "trying to send message larger than max (3000000 vs. 2097152)", "too-large"],
  [8, "Bandwidth exhausted or memory limit exceeded", "overloaded"],
  [9, "etcdserver: lease already exists", "lease-exists"],
  [9, "etcdserver: user name not found", "auth"],
  [11, "etcdserver: mvcc: required revision has been compacted", "compacted"],
  [11, "etcdserver: mvcc: required revision is a future revision", "future-revision"],
  [11, "etcdserver: too large lease TTL", "invalid"],
  [14, "etcdserver: no leader", "no-leader"],
  [14, "etcdserver: request timed out", "network"],
  [14, "No connection established. Last error: connect ECONNREFUSED 127.0.0.1:2379", "network"],
  [14, "read ECONNRESET", "network"],
  [14, "No connection established. Last error: self-signed certificate in certificate chain", "tls"],
  [14, "Hostname/IP does not match certificate's altnames", "tls"],
  [14, "error:0A00010B:SSL routines:ssl3_get_record:wrong version number", "tls"],
  [14, "unable to verify the first certificate", "tls"],
  // As while NODE_TLS_REJECT_UNAUTHORIZED is 0: names instead of words.
  [14, "No connection established. Last error: UNABLE_TO_VERIFY_LEAF_SIGNATURE", "tls"],
  [14, "No connection established. Last error: DEPTH_ZERO_SELF_SIGNED_CERT", "tls"],
  [14, "No connection established. Last error: SELF_SIGNED_CERT_IN_CHAIN", "tls"],
  [14, "No connection established. Last error: CERT_HAS_EXPIRED", "tls"],
  [14, "No connection established. Last error: ERR_TLS_CERT_ALTNAME_INVALID", "tls"],
  [16, "etcdserver: invalid auth token", "token"],
  [16, "whatever", "token"],
  [12, "unknown service etcdserverpb.Watch", "unknown"],
  [99, "", "unknown"],
];

const error = (kind: FailureKind) => failureError(new EtcdFailure(kind, "x"));

describe("classify", () => {
  it.each(table)("reads status %i %j as %s", (status, message, kind) => {
    expect(classify(status, message)).toBe(kind);
  });
});

describe("failureError", () => {
  it.each<[FailureKind, SdErrorCode]>([
    ["network", "SD_UNAVAILABLE"],
    ["tls", "SD_UNAVAILABLE"],
    ["timeout", "SD_UNAVAILABLE"],
    ["no-leader", "SD_UNAVAILABLE"],
    ["no-space", "SD_UNAVAILABLE"],
    ["unknown", "SD_UNAVAILABLE"],
    ["auth", "SD_PERMISSION"],
    ["permission", "SD_PERMISSION"],
    ["lease-not-found", "SD_LEASE_LOST"],
    ["compacted", "SD_COMPACTED"],
    ["invalid", "SD_INVALID_ARGUMENT"],
  ])("makes of %s an error with %s", (kind, code) => expect(error(kind).code).toBe(code));

  it("says where, and keeps the failure with its status and cause", () => {
    const cause = new Error("deep");
    const failure = new EtcdFailure("network", "no", { status: 14, endpoint: "etcd:2379", cause });
    const thrown = failureError(failure);
    expect(thrown.message).toBe("no (etcd:2379)");
    expect(thrown.cause).toBe(failure);
    expect(failure).toMatchObject({ kind: "network", status: 14, endpoint: "etcd:2379", cause });
    expect("cause" in new EtcdFailure("network", "no")).toBe(false);
  });
});

describe("failureOf", () => {
  it("tells the kind of a transport's error, and of nothing else", () => {
    expect(failureOf(error("compacted"))).toBe("compacted");
    const others = [new EtcdFailure("tls", "x"), new SdError("SD_CLOSED", "x"), new Error("x"), undefined];
    expect(others.map(failureOf)).toEqual([undefined, undefined, undefined, undefined]);
  });

  it("knows a failure of another copy of the package by its name", () => {
    const foreign = Object.assign(new Error("x"), { name: "EtcdFailure", kind: "timeout" });
    expect(failureOf(new SdError("SD_UNAVAILABLE", "x", { cause: foreign }))).toBe("timeout");
  });
});

describe("isNotApplied", () => {
  it.each<[FailureKind, boolean]>([
    ["lease-not-found", true],
    ["lease-exists", true],
    ["permission", true],
    ["token", true],
    ["no-space", true],
    ["invalid", true],
    ["network", false],
    ["timeout", false],
    ["no-leader", false],
    ["overloaded", false],
    ["canceled", false],
    ["unknown", false],
  ])("of %s: %s (R5, T10: what is not certain is ambiguous)", (kind, expected) => {
    expect(isNotApplied(error(kind))).toBe(expected);
  });

  it("is never told of what is no failure of etcd", () => {
    expect(isNotApplied(new SdError("SD_INVALID_ARGUMENT", "x"))).toBe(false);
  });
});

describe("isLasting", () => {
  it.each<[FailureKind, boolean]>([
    ["auth", true],
    ["permission", true],
    ["no-space", true],
    ["invalid", true],
    ["token", false],
    ["network", false],
    ["unknown", false],
  ])("of %s: %s", (kind, expected) => expect(isLasting(error(kind))).toBe(expected));
});
