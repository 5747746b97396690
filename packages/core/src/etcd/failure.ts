import { SdError, type SdErrorCode } from "../kit/errors.js";

/**
 * What a failure of etcd means to us, whatever its status code.
 *
 * The code alone is ambiguous (8 is NOSPACE, "too many requests", a message too large, or too many pings;
 * 14 is also every TLS error), so it is read together with the message.
 */
export type FailureKind =
  /** No connection, or it broke. */
  | "network"
  /** The handshake failed: certificate, name, or a peer that does not speak TLS. */
  | "tls"
  /** No answer in time. */
  | "timeout"
  /** The member has no leader. */
  | "no-leader"
  /** The credentials are wrong or missing. */
  | "auth"
  /** The token has expired: authenticate again. */
  | "token"
  | "permission"
  | "lease-not-found"
  | "lease-exists"
  | "compacted"
  | "future-revision"
  /** The store is full; nothing can be written until an operator acts. */
  | "no-space"
  | "overloaded"
  /** The answer exceeds our receive limit. */
  | "too-large"
  /** The request is malformed, or exceeds a limit of the server. */
  | "invalid"
  | "canceled"
  | "unknown";

export interface EtcdFailureOptions {
  readonly status?: number | undefined;
  readonly endpoint?: string | undefined;
  readonly isSent?: boolean;
  readonly cause?: unknown;
}

/** How a call to etcd failed: the `cause` of the `SdError` that the transport throws. */
export class EtcdFailure extends Error {
  readonly kind: FailureKind;
  /** The gRPC status code, if etcd or the connection gave one. */
  readonly status: number | undefined;
  readonly endpoint: string | undefined;
  /** Whether the request may have left us. If not, no member was reached, and nothing has happened. */
  readonly isSent: boolean;

  constructor(kind: FailureKind, message: string, options: EtcdFailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "EtcdFailure";
    this.kind = kind;
    this.status = options.status;
    this.endpoint = options.endpoint;
    this.isSent = options.isSent ?? true;
  }
}

const codeByKind: Partial<Record<FailureKind, SdErrorCode>> = {
  auth: "SD_PERMISSION",
  permission: "SD_PERMISSION",
  "lease-not-found": "SD_LEASE_LOST",
  compacted: "SD_COMPACTED",
  invalid: "SD_INVALID_ARGUMENT",
};

/** Wraps a failure in the `SdError` that callers see. */
export function failureError(failure: EtcdFailure): SdError {
  const where = failure.endpoint === undefined ? "" : ` (${failure.endpoint})`;
  return new SdError(codeByKind[failure.kind] ?? "SD_UNAVAILABLE", `${failure.message}${where}`, {
    cause: failure,
  });
}

/** What kind of failure an error of the transport is; `undefined` for anything else. */
export function failureOf(error: unknown): FailureKind | undefined {
  return causeOf(error)?.kind;
}

function causeOf(error: unknown): EtcdFailure | undefined {
  if (!SdError.is(error)) return undefined;
  const { cause } = error;
  // By name, as a transport may have another copy of this class.
  return cause instanceof Error && cause.name === "EtcdFailure" ? (cause as EtcdFailure) : undefined;
}

/** Whether the failed call may have reached etcd; false for what is no failure of etcd. */
export function wasSent(error: unknown): boolean {
  return causeOf(error)?.isSent === true;
}

/** The same error, of a call that was not sent. */
export function unsent(error: unknown): unknown {
  const cause = causeOf(error);
  if (!cause?.isSent) return error;
  const { kind, message, status, endpoint } = cause;
  return failureError(
    new EtcdFailure(kind, message, { status, endpoint, cause: cause.cause, isSent: false }),
  );
}

/** Kinds with which etcd says that it did *not* do what was asked. After any other, it may have. */
const refusals: ReadonlySet<FailureKind> = new Set<FailureKind>([
  "auth",
  "token",
  "permission",
  "lease-not-found",
  "lease-exists",
  "compacted",
  "future-revision",
  "no-space",
  "invalid",
]);

/** Whether a failed write certainly was not applied. If not, read back before believing anything. */
export function isNotApplied(error: unknown): boolean {
  const cause = causeOf(error);
  return cause !== undefined && (!cause.isSent || refusals.has(cause.kind));
}

/** Failures that last until an operator acts; loops retry them slowly. */
const lasting: ReadonlySet<FailureKind> = new Set<FailureKind>(["auth", "permission", "no-space", "invalid"]);

/** Whether only an operator can end this failure. */
export function isLasting(error: unknown): boolean {
  if (SdError.is(error, "SD_LIMIT_EXCEEDED")) return true;
  const kind = failureOf(error);
  return kind !== undefined && lasting.has(kind);
}

/** Reads a gRPC status of etcd. The table is from etcd's `api/v3rpc/rpctypes/error.go`. */
export function classify(status: number, message: string): FailureKind {
  const says = (text: string): boolean => message.includes(text);
  if (says("requested lease not found")) return "lease-not-found";
  if (says("lease already exists")) return "lease-exists";
  if (says("required revision has been compacted")) return "compacted";
  if (says("future revision")) return "future-revision";
  if (says("too large lease TTL")) return "invalid";
  if (says("database space exceeded")) return "no-space";
  if (says("too many requests")) return "overloaded";
  // The first two are the server's words, about a request; the third are grpc-js's, about an answer.
  if (says("request is too large") || says("grpc: received message larger than max")) return "invalid";
  if (says("larger than max")) return "too-large";
  if (says("invalid auth token") || says("revision of auth store is old")) return "token";
  if (says("user name is empty") || says("authentication failed") || says("user name not found"))
    return "auth";
  if (says("permission denied")) return "permission";
  if (says("no leader")) return "no-leader";
  switch (status) {
    case 1:
      return "canceled";
    case 3:
      return "invalid";
    case 4:
      return "timeout";
    case 7:
      return "permission";
    case 8:
      return "overloaded";
    case 14:
      return isTls(message) ? "tls" : "network";
    case 16:
      return "token";
    default:
      return "unknown";
  }
}

/** grpc-js reports a failed handshake as UNAVAILABLE with OpenSSL's or Node's words, or OpenSSL's names of them. */
function isTls(message: string): boolean {
  return /certificate|\bCERT_|_CERT\b|_CERT_|self[- ]signed|SSL|TLS|altname|unable.to.verify|wrong version number/i.test(
    message,
  );
}
