import type { Method } from "../../src/grpc/methods.js";
import { type Permission, PermissionType } from "../../src/memory/api/auth.js";
import type { WatchCreateRequest } from "../../src/memory/api/watch.js";
import { bytes } from "../../src/memory/requests.fixture.js";
import { methods } from "../raw-client.js";

/** One thing that is done to both servers. `as` names the user whose token goes with it; absent: none does. */
export type AuthStep = { readonly as?: string | undefined } & (
  | {
      // biome-ignore lint/suspicious/noExplicitAny: each method has its own messages, checked by `ask()`
      readonly method: Method<any, any>;
      readonly request: unknown;
    }
  /** Keeps the token for what this user does from now on. */
  | { readonly login: { readonly name: string; readonly password: string } }
  /** Takes this for the token of that user from now on. */
  | { readonly token: string }
  /** On a stream of its own, ended by the step: what the stream was told, or how it ended. */
  | { readonly renew: bigint }
  /** On the stream of watches of that user, opened by the first. */
  | { readonly watch: WatchCreateRequest }
  | { readonly pause: number }
);

/** A call without answers to come. */
export function ask<Request, Response>(
  method: Method<Request, Response>,
  request: Request,
  as?: string,
): AuthStep {
  return { as, method, request };
}

/** Calls of the service `Auth`, by what they do. Root does them unless another is named. */
export const admin = {
  enable: (as?: string) => ask(methods.Auth.enable, {}, as),
  disable: (as: string | undefined = "root") => ask(methods.Auth.disable, {}, as),
  status: (as: string | undefined = "root") => ask(methods.Auth.status, {}, as),
  userAdd: (name: string, password = name, as: string | undefined = "root") =>
    ask(methods.Auth.userAdd, { name, password, hashedPassword: "" }, as),
  userAddNoPassword: (name: string, password = "", as: string | undefined = "root") =>
    ask(methods.Auth.userAdd, { name, password, hashedPassword: "", options: { noPassword: true } }, as),
  userDelete: (name: string, as: string | undefined = "root") => ask(methods.Auth.userDelete, { name }, as),
  userGet: (name: string, as: string | undefined = "root") => ask(methods.Auth.userGet, { name }, as),
  userList: (as: string | undefined = "root") => ask(methods.Auth.userList, {}, as),
  password: (name: string, password: string, hashedPassword = "", as: string | undefined = "root") =>
    ask(methods.Auth.userChangePassword, { name, password, hashedPassword }, as),
  grantRole: (user: string, role: string, as: string | undefined = "root") =>
    ask(methods.Auth.userGrantRole, { user, role }, as),
  revokeRole: (user: string, role: string, as: string | undefined = "root") =>
    ask(methods.Auth.userRevokeRole, { user, role }, as),
  roleAdd: (name: string, as: string | undefined = "root") => ask(methods.Auth.roleAdd, { name }, as),
  roleDelete: (name: string, as: string | undefined = "root") => ask(methods.Auth.roleDelete, { name }, as),
  roleGet: (name: string, as: string | undefined = "root") => ask(methods.Auth.roleGet, { name }, as),
  roleList: (as: string | undefined = "root") => ask(methods.Auth.roleList, {}, as),
  permit: (name: string, perm: Permission | undefined, as: string | undefined = "root") =>
    ask(methods.Auth.roleGrantPermission, { name, perm }, as),
  forbid: (role: string, key: string, rangeEnd = "", as: string | undefined = "root") =>
    ask(methods.Auth.roleRevokePermission, { role, key: bytes(key), rangeEnd: bytes(rangeEnd) }, as),
};

/** A permission for a key or a range. */
export function permission(
  access: keyof typeof PermissionType,
  key: string,
  rangeEnd: string | Uint8Array = "",
): Permission {
  return { permType: PermissionType[access], key: bytes(key), rangeEnd: bytes(rangeEnd) };
}

export const login = (name: string, password = name): AuthStep => ({
  as: name,
  login: { name, password },
});
