/** Faults are at work; they are over, and all comes to rest; all is at rest. */
export type Phase = "storm" | "heal" | "calm";

/** Up to one TTL, up to three, and longer. */
export type OutageClass = "short" | "middle" | "long";

export function outageClass(ms: number, ttlSeconds: number): OutageClass {
  if (ms <= ttlSeconds * 1_000) return "short";
  return ms <= ttlSeconds * 3_000 ? "middle" : "long";
}
