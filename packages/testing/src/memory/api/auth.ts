/** The vocabulary of etcd's users, roles and permissions. Source: https://etcd.io/docs/v3.5/learning/api/ */

import type { Header } from "@sd/core";

export const PermissionType = { read: 0, write: 1, readWrite: 2 } as const;

/** What a role lets its users do with a key or a range of keys. */
export interface Permission {
  readonly permType: number;
  readonly key: Uint8Array;
  /** Exclusive; empty: just `key`; one byte 0: without end. */
  readonly rangeEnd: Uint8Array;
}

export interface AuthenticateRequest {
  readonly name: string;
  readonly password: string;
}

export interface AuthenticateResponse {
  readonly header: Header;
  readonly token: string;
}

export interface AuthStatusResponse {
  readonly header: Header;
  readonly enabled: boolean;
  readonly authRevision: number;
}

export interface UserAddOptions {
  /** The user proves who it is by a certificate only. */
  readonly noPassword: boolean;
}

export interface UserAddRequest {
  readonly name: string;
  readonly password: string;
  readonly options?: UserAddOptions | undefined;
  /** Passed over by etcd, which hashes `password` itself. */
  readonly hashedPassword: string;
}

export interface UserChangePasswordRequest {
  readonly name: string;
  readonly password: string;
  /** Taken since 3.5, if `password` is empty: bcrypt in base64. */
  readonly hashedPassword: string;
}

/** Names a user or a role: to get or delete it, or to add a role. */
export interface NameRequest {
  readonly name: string;
}

/** To grant a role to a user, or to revoke it. */
export interface UserRoleRequest {
  readonly user: string;
  readonly role: string;
}

export interface RoleGrantPermissionRequest {
  readonly name: string;
  readonly perm?: Permission | undefined;
}

export interface RoleRevokePermissionRequest {
  readonly role: string;
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

/** The users, the roles, or the roles of one user, in the order of their bytes. */
export interface NamesResponse {
  readonly header: Header;
  readonly names: readonly string[];
}

export interface RoleGetResponse {
  readonly header: Header;
  readonly perm: readonly Permission[];
}
