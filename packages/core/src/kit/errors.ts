/** Every code that an `SdError` can carry, and whether trying again can help. */
const retryableByCode = {
  SD_INVALID_ARGUMENT: false,
  SD_CLOSED: false,
  SD_UNAVAILABLE: true,
  SD_PERMISSION: false,
  SD_CONFLICT: false,
  SD_LEASE_LOST: true,
  SD_COMPACTED: true,
  SD_NO_INSTANCE: true,
  SD_LIMIT_EXCEEDED: false,
  SD_INVARIANT: false,
} as const;

/**
 * What went wrong, as a stable string.
 *
 * - `SD_INVALID_ARGUMENT`: refused before any I/O; fix the call.
 * - `SD_CLOSED`: used after `close()`.
 * - `SD_UNAVAILABLE`: no etcd member answered in time. Loops retry by themselves.
 * - `SD_PERMISSION`: etcd refused the credentials or lacks the permission.
 * - `SD_CONFLICT`: the key belongs to another owner.
 * - `SD_LEASE_LOST`: the lease cannot be proved to live.
 * - `SD_COMPACTED`: the wanted revision is gone from etcd.
 * - `SD_NO_INSTANCE`: there is nothing to pick.
 * - `SD_LIMIT_EXCEEDED`: etcd holds more than the configured limits let in; raise them, or clean up.
 * - `SD_INVARIANT`: a bug of this library, or an answer that etcd may not give.
 */
export type SdErrorCode = keyof typeof retryableByCode;

const mark = Symbol.for("@sd/core/SdError");

/** What an `SdError` may carry besides its message. */
export interface SdErrorOptions {
  /** The error underneath. */
  readonly cause?: unknown;
}

/**
 * The only error class of these packages.
 *
 * Test with `SdError.is(error, code)`: `instanceof` fails between the ESM and the CJS copy of a package,
 * and messages may change. An abort is never an `SdError`: it rejects with `signal.reason` itself.
 */
export class SdError extends Error {
  readonly code: SdErrorCode;
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean;

  constructor(code: SdErrorCode, message: string, options?: SdErrorOptions) {
    super(message, options);
    this.name = "SdError";
    this.code = code;
    this.retryable = retryableByCode[code];
    Object.defineProperty(this, mark, { value: true });
  }

  /** Tells whether `error` is an `SdError`, from whichever copy of this package, and of `code` if given. */
  static is(error: unknown, code?: SdErrorCode): error is SdError {
    if (typeof error !== "object" || error === null || !(mark in error)) return false;
    return code === undefined || (error as { code?: unknown }).code === code;
  }
}

/** Makes the error for a bad argument: `subject must be requirement, got value`. */
export function invalidArgument(subject: string, requirement: string, got: unknown): SdError {
  return new SdError("SD_INVALID_ARGUMENT", `${subject} must be ${requirement}, got ${describe(got)}`);
}

/**
 * Checks that a call got its options at all.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` that shows the type only: an address in place of the options may hold a
 *   password.
 */
export function requireOptions(subject: string, options: unknown): void {
  if (typeof options !== "object" || options === null) throw wrongType(subject, "an object", options);
}

/**
 * Checks that `value` has these methods, whatever its class: the two copies of a package do not share one.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` that shows the type only: what is in it may be secret.
 */
export function requireMethods(
  subject: string,
  value: unknown,
  names: readonly string[],
  what?: string,
): void {
  const methods = Object(value) as Record<string, unknown>;
  if (names.every((name) => typeof methods[name] === "function")) return;
  throw wrongType(subject, what ?? `an object with ${names.join("(), ")}()`, value);
}

/** As `invalidArgument()`, for a value of which no more than its type may be shown. */
export function wrongType(subject: string, requirement: string, got: unknown): SdError {
  const type = got === null ? "null" : Array.isArray(got) ? "array" : typeof got;
  return new SdError("SD_INVALID_ARGUMENT", `${subject} must be ${requirement}, got ${type}`);
}

/** @throws SdError `SD_INVALID_ARGUMENT` */
export function requireListener(listener: unknown): void {
  if (typeof listener !== "function") throw invalidArgument("listener", "a function", listener);
}

/** @throws SdError `SD_INVALID_ARGUMENT` for what is neither absent nor an `AbortSignal`. */
export function requireSignal(signal: unknown): void {
  if (signal === undefined || signal === null) return;
  requireMethods("signal", signal, ["throwIfAborted", "addEventListener"], "an AbortSignal");
}

/** Shows a caller's value in a message: short, on one line, with control characters escaped. */
export function describe(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  let text: string | undefined;
  try {
    text = typeof value === "number" ? String(value) : JSON.stringify(value);
  } catch {
    // A cycle, or a toJSON that throws: the type must do.
  }
  text ??= String(typeof value);
  return escapeControl(text.length > 120 ? `${text.slice(0, 117)}...` : text);
}

/** Escapes what could forge a log line or drive a terminal: C0, C1, line separators, bidi marks, what is unseen. */
export function escapeControl(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
