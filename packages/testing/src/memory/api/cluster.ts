/** The vocabulary of etcd's members, status and alarms. Source: https://etcd.io/docs/v3.5/learning/api/ */

import type { Header } from "@sd/core";

export interface Member {
  readonly id: bigint;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface MemberListRequest {
  readonly linearizable: boolean;
}

export interface MemberListResponse {
  readonly header: Header;
  readonly members: readonly Member[];
}

export interface StatusResponse {
  readonly header: Header;
  readonly version: string;
  readonly dbSize: number;
  readonly leader: bigint;
  readonly raftIndex: bigint;
  readonly raftTerm: bigint;
  readonly raftAppliedIndex: bigint;
  /** One line for each alarm. */
  readonly errors: readonly string[];
  readonly dbSizeInUse: number;
  readonly isLearner: boolean;
}

export const AlarmType = { none: 0, noSpace: 1, corrupt: 2 } as const;
export const AlarmAction = { get: 0, activate: 1, deactivate: 2 } as const;

export interface AlarmRequest {
  readonly action: number;
  readonly memberId: bigint;
  /** `none` means all. */
  readonly alarm: number;
}

export interface AlarmMember {
  readonly memberId: bigint;
  readonly alarm: number;
}

export interface AlarmResponse {
  readonly header: Header;
  readonly alarms: readonly AlarmMember[];
}
