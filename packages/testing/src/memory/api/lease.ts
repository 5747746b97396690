/** The vocabulary of etcd's lease calls. Source: https://etcd.io/docs/v3.5/learning/api/ */

import type { Header } from "@sd/core";

export interface LeaseGrantRequest {
  readonly ttl: number;
  /** 0n: etcd chooses. */
  readonly id: bigint;
}

export interface LeaseGrantResponse {
  readonly header: Header;
  readonly id: bigint;
  readonly ttl: number;
  /** Never set by etcd. */
  readonly error: string;
}

export interface LeaseRequest {
  readonly id: bigint;
}

export interface LeaseKeepAliveResponse {
  readonly header: Header;
  readonly id: bigint;
  readonly ttl: number;
}

export interface LeaseTimeToLiveRequest {
  readonly id: bigint;
  readonly keys: boolean;
}

export interface LeaseTimeToLiveResponse {
  readonly header: Header;
  readonly id: bigint;
  /** Whole seconds that are left; -1 if there is no such lease. */
  readonly ttl: number;
  readonly grantedTtl: number;
  readonly keys: readonly Uint8Array[];
}

export interface LeaseLeasesResponse {
  readonly header: Header;
  readonly leases: readonly LeaseRequest[];
}
