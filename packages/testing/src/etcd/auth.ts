/** What a user of etcd may do with a key, or with all keys that begin alike. */
export type Permission = ({ readonly key: string } | { readonly prefix: string }) & {
  readonly access: "read" | "write" | "readwrite";
};

/** A user of etcd. */
export interface EtcdUser {
  /** Absent: it has none, and is known by its client certificate alone. */
  readonly password?: string;
  /** Default: none. `root` needs none. */
  readonly permissions?: readonly Permission[];
}

export interface EtcdAuth {
  /** By name. etcd wants a `root` among them. */
  readonly users: Readonly<Record<string, EtcdUser>>;
}

/** Runs etcdctl. */
type Ctl = (...args: readonly string[]) => Promise<string>;

/** @throws Error unless there is a root that can be had: by password, or by client certificate. */
export function checkRoot({ users }: EtcdAuth, hasCertificate: boolean): void {
  const root = users["root"];
  if (root === undefined) {
    throw new Error(`users must hold root, which etcd wants, got ${Object.keys(users).join(", ") || "none"}`);
  }
  if (root.password === undefined && !hasCertificate) {
    throw new Error("users.root must have a password: without client certificates nobody else can be root");
  }
}

/** Makes the users, a role of the same name for each, and switches authentication on. */
export async function enableAuth(ctl: Ctl, { users }: EtcdAuth): Promise<void> {
  for (const [name, { password, permissions = [] }] of Object.entries(users)) {
    const secret = password === undefined ? "--no-password" : `--new-user-password=${password}`;
    await ctl("user", "add", name, secret);
    // etcd makes the role of root itself.
    if (name !== "root" || permissions.length > 0) await ctl("role", "add", name);
    for (const permission of permissions) {
      const range = "key" in permission ? [permission.key] : ["--prefix=true", permission.prefix];
      await ctl("role", "grant-permission", name, permission.access, ...range);
    }
    await ctl("user", "grant-role", name, name);
  }
  await ctl("auth", "enable");
}

/** Switches authentication off, and removes all users and roles. */
export async function disableAuth(ctl: Ctl): Promise<void> {
  await ctl("auth", "disable");
  for (const kind of ["user", "role"]) {
    const names = (await ctl(kind, "list")).split("\n").filter((name) => name !== "");
    for (const name of names) await ctl(kind, "delete", name);
  }
}
