import { prefixRange } from "@sd/core";
import { requireOneOf } from "../../check/arguments.js";
import { type Permission, PermissionType } from "../api/auth.js";
import { EMPTY } from "../api/kv.js";
import { toBytes } from "../keys.js";
import { type AuthStore, ROOT } from "./auth-store.js";
import type { Guard } from "./guard.js";

/** A key, or all keys that begin with `prefix`. */
export type KeyOrPrefix = { readonly key: string | Uint8Array } | { readonly prefix: string | Uint8Array };

/** What may be done with it. */
export type Allowance = { readonly access: keyof typeof PermissionType } & KeyOrPrefix;

/** How a new user differs from one that may do nothing. */
export interface UserOptions {
  /** Absent: the user cannot authenticate. */
  readonly password?: string;
  readonly roles?: readonly string[];
}

/**
 * Users and roles of a `MemoryEtcd`, and whether they count, as an operator sets them: at once.
 *
 * Nothing has to be permitted to who calls this. All methods throw SdError as etcd refuses.
 */
export class MemoryAuth {
  readonly #store: AuthStore;
  readonly #guard: Guard;

  /** @internal A `MemoryEtcd` has one: `etcd.auth`. */
  constructor(store: AuthStore, guard: Guard) {
    this.#store = store;
    this.#guard = guard;
  }

  /** Whether clients must say who they are. */
  get isEnabled(): boolean {
    return this.#store.isEnabled;
  }

  /** Counts the changes of users and roles. */
  get revision(): number {
    return this.#store.revision;
  }

  /** Adds a role that allows this. */
  addRole(name: string, ...allowances: readonly Allowance[]): void {
    this.#store.addRole({ name });
    for (const each of allowances) this.allow(name, each);
  }

  /** Takes the role from its users, too. */
  removeRole(name: string): void {
    this.#store.deleteRole({ name });
  }

  /** Lets the users of a role do this, too. */
  allow(role: string, allowance: Allowance): void {
    this.#store.grantPermission({ name: role, perm: permissionOf(allowance) });
  }

  /** Takes back what was allowed for this key or prefix, whatever it was. */
  forbid(role: string, range: KeyOrPrefix): void {
    const { key, rangeEnd } = permissionOf({ access: "read", ...range });
    this.#store.revokePermission({ role, key, rangeEnd });
  }

  /** Adds a user. The role `root` may be granted without being there. */
  addUser(name: string, { password, roles = [] }: UserOptions = {}): void {
    const options = { noPassword: password === undefined };
    this.#store.addUser({ name, password: password ?? "", hashedPassword: "", options });
    for (const role of roles) this.#store.grantRole({ user: name, role });
  }

  /** Ends the user's tokens. */
  removeUser(name: string): void {
    this.#store.deleteUser({ name });
  }

  /** Ends the user's tokens. */
  changePassword(name: string, password: string): void {
    this.#store.changePassword({ name, password, hashedPassword: "" });
  }

  grantRole(user: string, role: string): void {
    this.#store.grantRole({ user, role });
  }

  revokeRole(user: string, role: string): void {
    this.#store.revokeRole({ user, role });
  }

  /** From now on clients must say who they are. A user `root` is added if there is none. */
  enable(): void {
    if (!this.#store.hasUser(ROOT)) this.addUser(ROOT, { roles: [ROOT] });
    this.#store.enable();
  }

  /** From now on everybody may do everything. Ends all tokens. */
  disable(): void {
    this.#store.disable();
  }

  /**
   * Has the next request of a user that needs a permission meet a change of users or roles on its way: it is refused
   * ("revision of auth store is old").
   */
  overtakeNextRequest(): void {
    this.#guard.overtakeNext();
  }
}

function permissionOf({ access, ...range }: Allowance): Permission {
  requireOneOf("access", access, Object.keys(PermissionType));
  const permType = PermissionType[access];
  if ("key" in range) return { permType, key: toBytes(range.key), rangeEnd: EMPTY };
  const { key, rangeEnd = EMPTY } = prefixRange(toBytes(range.prefix));
  return { permType, key, rangeEnd };
}
