import { invalidArgument } from "@sd/core";

/** The longest that a timer of Node can wait; longer ones fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Checks a number, which may not come as text. @throws SdError `SD_INVALID_ARGUMENT` */
export function requireNumber(subject: string, value: unknown, min = 0, max = Number.MAX_VALUE): void {
  if (typeof value === "number" && value >= min && value <= max) return;
  throw invalidArgument(subject, `a number ${bounds(min, max)}`, value);
}

/** Checks a whole number. @throws SdError `SD_INVALID_ARGUMENT` */
export function requireWhole(
  subject: string,
  value: unknown,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): asserts value is number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw invalidArgument(subject, `a whole number ${bounds(min, max)}`, value);
}

/** Checks how long to wait, `undefined` included: then a default counts. @throws SdError `SD_INVALID_ARGUMENT` */
export function requireWait(subject: string, value: unknown, min = 0): void {
  if (value !== undefined) requireNumber(subject, value, min, MAX_TIMER_MS);
}

/** Checks a name that stands for a choice. @throws SdError `SD_INVALID_ARGUMENT` that lists all of them. */
export function requireOneOf(subject: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) throw invalidArgument(subject, allowed.join(" or "), value);
}

/** Checks a text. @throws SdError `SD_INVALID_ARGUMENT` */
export function requireText(subject: string, value: unknown): asserts value is string {
  if (typeof value !== "string") throw invalidArgument(subject, "a text", value);
}

function bounds(min: number, max: number): string {
  return max < Number.MAX_SAFE_INTEGER ? `from ${min} to ${max}` : `from ${min}`;
}
