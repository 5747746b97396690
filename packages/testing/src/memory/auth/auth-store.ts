import type * as auth from "../api/auth.js";
import type { Behaviour } from "../behaviour.js";
import { refusal } from "../refusals.js";
import { isValidRange } from "./key-permissions.js";
import type { SimpleTokens } from "./simple-tokens.js";

interface User {
  /** Absent: no password is right. */
  readonly password: string | undefined;
  readonly isNoPassword: boolean;
  readonly roles: readonly string[];
}

/** The user, and the role, that may do everything. */
export const ROOT = "root";

/**
 * Users and roles, as etcd keeps them: each change is one revision of its own, the first is 1.
 *
 * Who may change them is not decided here. All methods throw SdError as etcd refuses.
 */
export class AuthStore {
  readonly tokens: SimpleTokens;
  readonly #behaviour: () => Behaviour;
  readonly #users = new Map<string, User>();
  readonly #roles = new Map<string, readonly auth.Permission[]>();
  #isEnabled = false;
  #revision = 1;

  constructor(tokens: SimpleTokens, behaviour: () => Behaviour) {
    this.tokens = tokens;
    this.#behaviour = behaviour;
  }

  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  get revision(): number {
    return this.#revision;
  }

  enable(): void {
    if (this.#isEnabled) return;
    const root = this.#users.get(ROOT);
    if (!root) throw refusal("rootUserMissing");
    if (!root.roles.includes(ROOT)) throw refusal("rootRoleMissing");
    this.#isEnabled = true;
  }

  /** Ends all tokens. */
  disable(): void {
    if (!this.#isEnabled) return;
    this.#isEnabled = false;
    this.#revision += 1;
    this.tokens.endAll();
  }

  /** A token for who knows the password. */
  authenticate({ name, password }: auth.AuthenticateRequest): string {
    if (!this.#isEnabled) throw refusal("authNotEnabled");
    const user = this.#users.get(name);
    if (!user) throw refusal("authFailed");
    if (user.isNoPassword) throw refusal("noPasswordUser");
    if (user.password !== password) throw refusal("authFailed");
    return this.tokens.assign(name);
  }

  addUser({ name, password, options }: auth.UserAddRequest): void {
    if (name === "") throw refusal("userEmpty");
    if (this.#users.has(name)) throw refusal("userExists");
    const isNoPassword = options?.noPassword ?? false;
    this.#users.set(name, { password: isNoPassword ? undefined : password, isNoPassword, roles: [] });
    this.#revision += 1;
  }

  /** Ends the tokens of the user. */
  deleteUser({ name }: auth.NameRequest): void {
    if (this.#isEnabled && name === ROOT) throw refusal("invalidAuthManagement");
    this.#user(name);
    this.#users.delete(name);
    this.#revision += 1;
    this.tokens.endOf(name);
  }

  /**
   * Ends the tokens of the user.
   *
   * What bcrypt has hashed elsewhere is accepted, but there is no bcrypt here: no password is right after that.
   */
  changePassword({ name, password, hashedPassword }: auth.UserChangePasswordRequest): void {
    const user = this.#user(name);
    const isHashed = password === "" && this.#behaviour().auth !== "3.4.23";
    if (isHashed && !user.isNoPassword && !isBase64(hashedPassword)) throw refusal("noPasswordUser");
    this.#users.set(name, { ...user, password: isHashed || user.isNoPassword ? undefined : password });
    this.#revision += 1;
    this.tokens.endOf(name);
  }

  /** The names of all users. */
  get users(): string[] {
    return sorted(this.#users.keys());
  }

  hasUser(name: string): boolean {
    return this.#users.has(name);
  }

  rolesOf(name: string): readonly string[] {
    return this.#user(name).roles;
  }

  grantRole({ user: name, role }: auth.UserRoleRequest): void {
    const user = this.#user(name);
    if (role !== ROOT) this.permissionsOf(role);
    if (user.roles.includes(role)) return;
    this.#users.set(name, { ...user, roles: sorted([...user.roles, role]) });
    this.#revision += 1;
  }

  revokeRole({ user: name, role }: auth.UserRoleRequest): void {
    if (this.#isEnabled && name === ROOT && role === ROOT) throw refusal("invalidAuthManagement");
    const user = this.#user(name);
    if (!user.roles.includes(role)) throw refusal("roleNotGranted");
    this.#users.set(name, { ...user, roles: user.roles.filter((each) => each !== role) });
    this.#revision += 1;
  }

  addRole({ name }: auth.NameRequest): void {
    if (name === "") throw refusal("roleEmpty");
    if (this.#roles.has(name)) throw refusal("roleExists");
    this.#roles.set(name, []);
    this.#revision += 1;
  }

  /** Takes it from its users, too. */
  deleteRole({ name }: auth.NameRequest): void {
    if (this.#isEnabled && name === ROOT) throw refusal("invalidAuthManagement");
    this.permissionsOf(name);
    this.#roles.delete(name);
    for (const [each, user] of this.#users) {
      this.#users.set(each, { ...user, roles: user.roles.filter((role) => role !== name) });
    }
    this.#revision += 1;
  }

  /** The names of all roles. */
  get roles(): string[] {
    return sorted(this.#roles.keys());
  }

  /** What a role permits, in the order of the keys. */
  permissionsOf(role: string): readonly auth.Permission[] {
    const permissions = this.#roles.get(role);
    if (!permissions) throw refusal("roleNotFound");
    return permissions;
  }

  /** What a user may do by its roles. That of root is not among them. */
  permissionsOfUser(name: string): readonly auth.Permission[] {
    return this.rolesOf(name).flatMap((role) => this.#roles.get(role) ?? []);
  }

  /** A range that the role has is changed; but only the first of those that begin with the same key. */
  grantPermission({ name, perm }: auth.RoleGrantPermissionRequest): void {
    if (!perm) throw refusal("permissionNotGiven");
    if (this.#behaviour().auth !== "3.4.23" && !isValidRange(perm)) throw refusal("invalidAuthManagement");
    const permissions = [...this.permissionsOf(name)];
    const index = permissions.findIndex(({ key }) => Buffer.compare(key, perm.key) >= 0);
    const found = permissions[index];
    if (found && isSameRange(found, perm)) permissions[index] = perm;
    else permissions.push(perm);
    permissions.sort((one, other) => Buffer.compare(one.key, other.key));
    this.#roles.set(name, permissions);
    this.#revision += 1;
  }

  revokePermission({ role, ...range }: auth.RoleRevokePermissionRequest): void {
    const permissions = this.permissionsOf(role);
    const kept = permissions.filter((each) => !isSameRange(each, range));
    if (kept.length === permissions.length) throw refusal("permissionNotGranted");
    this.#roles.set(role, kept);
    this.#revision += 1;
  }

  /** Begins anew: off, and nobody is known. */
  clear(): void {
    this.#users.clear();
    this.#roles.clear();
    this.#isEnabled = false;
    this.#revision = 1;
    this.tokens.endAll();
  }

  #user(name: string): User {
    const user = this.#users.get(name);
    if (!user) throw refusal("userNotFound");
    return user;
  }
}

type Range = Pick<auth.Permission, "key" | "rangeEnd">;

function isSameRange(one: Range, other: Range): boolean {
  return Buffer.compare(one.key, other.key) === 0 && Buffer.compare(one.rangeEnd, other.rangeEnd) === 0;
}

/** In the order of their bytes, which is not that of UTF-16. */
function sorted(names: Iterable<string>): string[] {
  return [...names].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
}

/** As Go's standard encoding has it, which passes over line ends. */
function isBase64(text: string): boolean {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text.replace(/[\r\n]/g, ""));
}
