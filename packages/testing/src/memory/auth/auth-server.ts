import type { Header } from "@sd/core";
import type * as auth from "../api/auth.js";
import type { HeaderResponse } from "../api/kv.js";
import { refusal } from "../refusals.js";
import type { AuthStore } from "./auth-store.js";
import type { Client, Guard } from "./guard.js";

/** What the service needs of its server. */
export interface AuthHost {
  readonly auth: AuthStore;
  readonly guard: Guard;
  readonly behaviour: { readonly auth: string };
  header(): Header;
}

/** etcd's service `Auth`: users and roles are root's to change. All methods throw SdError as etcd refuses. */
export class AuthServer {
  readonly #host: AuthHost;

  constructor(host: AuthHost) {
    this.#host = host;
  }

  enable(client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.enable());
  }

  disable(client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.disable());
  }

  status(client?: Client): auth.AuthStatusResponse {
    const { auth, behaviour } = this.#host;
    if (behaviour.auth === "3.4.23") throw refusal("noAuthStatus");
    const response = this.#administer(client, () => {});
    return { ...response, enabled: auth.isEnabled, authRevision: auth.revision };
  }

  authenticate(request: auth.AuthenticateRequest, client?: Client): auth.AuthenticateResponse {
    const { auth, guard, behaviour } = this.#host;
    const token = auth.authenticate(request);
    if (behaviour.auth === "3.4.23") guard.reader(client);
    return { header: this.#host.header(), token };
  }

  userAdd(request: auth.UserAddRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.addUser(request));
  }

  userDelete(request: auth.NameRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.deleteUser(request));
  }

  userChangePassword(request: auth.UserChangePasswordRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.changePassword(request));
  }

  userGrantRole(request: auth.UserRoleRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.grantRole(request));
  }

  userRevokeRole(request: auth.UserRoleRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.revokeRole(request));
  }

  /** Its roles: anyone may know its own. */
  userGet({ name }: auth.NameRequest, client?: Client): auth.NamesResponse {
    const { auth, guard } = this.#host;
    guard.adminOr(guard.writer(client), (user) => user === name);
    return { header: this.#host.header(), names: auth.rolesOf(name) };
  }

  userList(client?: Client): auth.NamesResponse {
    return { ...this.#administer(client, () => {}), names: this.#host.auth.users };
  }

  roleAdd(request: auth.NameRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.addRole(request));
  }

  roleDelete(request: auth.NameRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.deleteRole(request));
  }

  roleGrantPermission(request: auth.RoleGrantPermissionRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.grantPermission(request));
  }

  roleRevokePermission(request: auth.RoleRevokePermissionRequest, client?: Client): HeaderResponse {
    return this.#administer(client, (store) => store.revokePermission(request));
  }

  /** Its permissions: anyone may know those of its own roles. */
  roleGet({ name }: auth.NameRequest, client?: Client): auth.RoleGetResponse {
    const { auth, guard } = this.#host;
    const isOwn = (user: string): boolean => auth.hasUser(user) && auth.rolesOf(user).includes(name);
    guard.adminOr(guard.writer(client), isOwn);
    return { header: this.#host.header(), perm: auth.permissionsOf(name) };
  }

  roleList(client?: Client): auth.NamesResponse {
    return { ...this.#administer(client, () => {}), names: this.#host.auth.roles };
  }

  #administer(client: Client | undefined, work: (store: AuthStore) => void): HeaderResponse {
    const { auth, guard } = this.#host;
    guard.admin(guard.writer(client));
    work(auth);
    return { header: this.#host.header() };
  }
}
