/** What has become of a promise. Written as it settles; a rejection counts as handled. */
export interface Settled<T> {
  status: "pending" | "resolved" | "rejected";
  value?: T;
  reason?: unknown;
}

/** Watches a promise without waiting for it. */
export function settled<T>(promise: Promise<T>): Settled<T> {
  const seen: Settled<T> = { status: "pending" };
  promise.then(
    (value) => Object.assign(seen, { status: "resolved", value }),
    (reason) => Object.assign(seen, { status: "rejected", reason }),
  );
  return seen;
}

/** How many timers of the machine hold the process at this moment. */
export function liveTimers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (value: Uint8Array): string => new TextDecoder().decode(value);
