/** Field numbers of etcd's messages on users and roles, as in `etcdserverpb/rpc.proto` and `authpb/auth.proto`. */

import type * as auth from "../memory/api/auth.js";
import { always, boolean, bytes, message, messages, number, text, texts } from "./fields.js";
import { header } from "./messages-kv.js";
import type { Schema } from "./schema.js";

export const permission: Schema<auth.Permission> = { permType: number(1), key: bytes(2), rangeEnd: bytes(3) };

export const userAddOptions: Schema<auth.UserAddOptions> = { noPassword: boolean(1) };

export const authenticateRequest: Schema<auth.AuthenticateRequest> = { name: text(1), password: text(2) };

export const authenticateResponse: Schema<auth.AuthenticateResponse> = {
  header: always(1, () => header),
  token: text(2),
};

export const authStatusResponse: Schema<auth.AuthStatusResponse> = {
  header: always(1, () => header),
  enabled: boolean(2),
  authRevision: number(3),
};

export const userAddRequest: Schema<auth.UserAddRequest> = {
  name: text(1),
  password: text(2),
  options: message(3, () => userAddOptions),
  hashedPassword: text(4),
};

export const userChangePasswordRequest: Schema<auth.UserChangePasswordRequest> = {
  name: text(1),
  password: text(2),
  hashedPassword: text(3),
};

/** Of `UserGet`, `UserDelete`, `RoleAdd`, `RoleGet` and `RoleDelete`. */
export const nameRequest: Schema<auth.NameRequest> = { name: text(1) };

/** Of `UserGrantRole` and `UserRevokeRole`. */
export const userRoleRequest: Schema<auth.UserRoleRequest> = { user: text(1), role: text(2) };

export const roleGrantPermissionRequest: Schema<auth.RoleGrantPermissionRequest> = {
  name: text(1),
  perm: message(2, () => permission),
};

export const roleRevokePermissionRequest: Schema<auth.RoleRevokePermissionRequest> = {
  role: text(1),
  key: bytes(2),
  rangeEnd: bytes(3),
};

/** Of `UserGet`, `UserList` and `RoleList`. */
export const namesResponse: Schema<auth.NamesResponse> = { header: always(1, () => header), names: texts(2) };

export const roleGetResponse: Schema<auth.RoleGetResponse> = {
  header: always(1, () => header),
  perm: messages(2, () => permission),
};
