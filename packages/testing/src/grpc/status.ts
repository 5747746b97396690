import { EtcdFailure, type SdError } from "@sd/core";

/** How gRPC says that a call failed. */
export interface Status {
  readonly code: number;
  readonly details: string;
}

/** The status with which etcd would refuse: its code, its words. What is no refusal is our bug, and says so. */
export function statusOf(error: unknown): Status {
  const cause = error instanceof Error ? (error as SdError).cause : undefined;
  if (cause instanceof EtcdFailure) return { code: cause.status ?? 2, details: cause.message };
  return { code: 13, details: error instanceof Error ? error.message : String(error) };
}
