/** The vocabulary of etcd's watch stream. Source: https://etcd.io/docs/v3.5/learning/api/ */

import type { Header, KeyValue, WatchEvent } from "@sd/core";

export const WatchFilter = { noPut: 0, noDelete: 1 } as const;

export interface WatchCreateRequest {
  /** Empty: the smallest key there is. */
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** 0: from now on. */
  readonly startRevision: number;
  readonly progressNotify: boolean;
  readonly filters: readonly number[];
  readonly prevKv: boolean;
  /** 0n: etcd chooses. */
  readonly watchId: bigint;
  readonly fragment: boolean;
}

export interface WatchCancelRequest {
  readonly watchId: bigint;
}

/** One of these, as in protobuf's `oneof`; none is ignored. */
export interface WatchRequest {
  readonly create?: WatchCreateRequest | undefined;
  readonly cancel?: WatchCancelRequest | undefined;
  readonly progress?: object | undefined;
}

export interface Event extends WatchEvent {
  readonly prevKv?: KeyValue | undefined;
}

export interface WatchResponse {
  readonly header: Header;
  readonly watchId: bigint;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: number;
  readonly cancelReason: string;
  readonly fragment: boolean;
  readonly events: readonly Event[];
}
