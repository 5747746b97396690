import { escapeControl, SdError } from "../../kit/errors.js";
import { classify, EtcdFailure, type FailureKind, failureError, failureOf } from "../failure.js";

/** A gRPC status: of a call that has ended, or of one that never started. */
export interface Status {
  readonly code: number;
  readonly details: string;
}

/** The error for a gRPC status. Only its text is kept: the metadata beside it may hold more than we want. */
export function statusError({ code, details }: Status, endpoint: string): SdError {
  const kind = classify(code, details);
  return failureError(new EtcdFailure(kind, readable(details), { status: code, endpoint }));
}

/** What a failed connection says, without grpc-js's frame around it. */
export function readable(details: string): string {
  const text = details
    .replace(/^No connection established\. Last error: (?:Error: )?/, "")
    .replace(/\.? Resolution note: ?/, " ")
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/, "")
    .trim();
  return escapeControl(text.length > 300 ? `${text.slice(0, 297)}...` : text) || "no reason given";
}

export function timeoutError(message: string, endpoint: string | undefined, cause?: unknown): SdError {
  const where = endpoint === undefined ? {} : { endpoint };
  return failureError(new EtcdFailure("timeout", message, cause === undefined ? where : { ...where, cause }));
}

export function networkError(message: string, endpoint: string): SdError {
  return failureError(new EtcdFailure("network", message, { endpoint }));
}

/** The user's function for certificates failed, or gave none that can be used. */
export function credentialsError(cause: unknown, endpoint: string): SdError {
  const reason = cause instanceof Error ? cause.message : "unknown reason";
  return failureError(new EtcdFailure("tls", `no credentials: ${readable(reason)}`, { endpoint, cause }));
}

/** etcd refused the token that a stream was opened with. */
export function tokenError(reason: string, endpoint: string): SdError {
  return failureError(new EtcdFailure("token", readable(reason), { endpoint }));
}

export function closedError(): SdError {
  return new SdError("SD_CLOSED", "client is closed");
}

const faults: ReadonlySet<string> = new Set<FailureKind>([
  "network",
  "tls",
  "timeout",
  "no-leader",
  "unknown",
]);

/**
 * Whether the failure speaks against the member that gave it: it may be cut off from the others while
 * they are well.
 */
export function isMembersFault(error: unknown): boolean {
  return faults.has(failureOf(error) ?? "");
}

/** Whether etcd wants a (new) token: it has refused the old one, or the call came without. */
export function wantsToken(error: unknown): boolean {
  const kind = failureOf(error);
  return kind === "token" || (kind === "auth" && isNamelessRefusal((error as Error).message));
}

/** A failure that `wantsToken()`, of a stream whose next one will have another token: not a lasting one. */
export function asTokenError(error: unknown, endpoint: string): SdError {
  const { cause, message } = error as SdError;
  return failureOf(error) === "token"
    ? (error as SdError)
    : tokenError(cause instanceof Error ? cause.message : message, endpoint);
}

/** The same for the `cancel_reason` of a watch. */
export function reasonWantsToken(reason: string): boolean {
  return classify(0, reason) === "token" || isNamelessRefusal(reason);
}

function isNamelessRefusal(message: string): boolean {
  return message.includes("user name is empty");
}
