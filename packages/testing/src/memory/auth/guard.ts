import { EtcdFailure, type SdError } from "@sd/core";
import { AlarmAction, type AlarmRequest } from "../api/cluster.js";
import {
  type DeleteRangeRequest,
  EMPTY,
  type PutRequest,
  type RequestOp,
  type TxnRequest,
} from "../api/kv.js";
import type { LeaseTimeToLiveRequest } from "../api/lease.js";
import type { WatchCreateRequest } from "../api/watch.js";
import type { Behaviour } from "../behaviour.js";
import { keyBytes } from "../keys.js";
import type { Leases } from "../leases.js";
import { type Refusal, refusal, transportError } from "../refusals.js";
import { type AuthStore, ROOT } from "./auth-store.js";
import { type Access, permits } from "./key-permissions.js";

/** Who asks: what came with the call to prove it. */
export interface Client {
  readonly token?: string | undefined;
}

/** Who a call is of. Trusted: needs no permission, as there is no authentication, or it is a test that asks. */
export type Caller = { readonly isTrusted: true } | { readonly isTrusted: false; readonly user?: string };

const trusted: Caller = { isTrusted: true };

/** What a guard looks at. */
export interface Guarded {
  readonly auth: AuthStore;
  readonly leases: Leases;
  readonly behaviour: Behaviour;
}

type Range = Pick<DeleteRangeRequest, "key" | "rangeEnd">;

/**
 * Decides who may do what, as the version does whose authentication it is to have.
 *
 * A client that is `undefined` is the test itself, which may do everything. All methods throw SdError as etcd
 * refuses. Sources: etcd's `apply_auth.go`, `v3_server.go` and `api/v3rpc`.
 */
export class Guard {
  readonly #guarded: Guarded;
  /** Until the alarm is disarmed, or etcd restarts, what goes through raft is not checked: so in all versions. */
  isBypassed = false;
  #isOvertaken = false;

  constructor(guarded: Guarded) {
    this.#guarded = guarded;
  }

  /** Has the next check of a permission find that users or roles were changed since the call was let in. */
  overtakeNext(): void {
    this.#isOvertaken = true;
  }

  /** Who reads: is checked in any case. */
  reader(client: Client | undefined): Caller {
    if (!client) return trusted;
    const { auth, behaviour } = this.#guarded;
    if (!auth.isEnabled && behaviour.auth !== "3.4.23") return trusted;
    if (client.token === undefined) return auth.isEnabled ? { isTrusted: false } : trusted;
    const user = auth.tokens.userOf(client.token);
    if (user === undefined) throw refusal("invalidToken");
    return auth.isEnabled ? { isTrusted: false, user } : trusted;
  }

  /** Who writes, or changes users and roles. */
  writer(client: Client | undefined): Caller {
    const caller = this.reader(client);
    return this.isBypassed ? trusted : caller;
  }

  read(caller: Caller, { key, rangeEnd }: Range): void {
    this.#permit(caller, "read", key, rangeEnd);
  }

  put(caller: Caller, { key, lease, prevKv }: PutRequest): void {
    this.#permit(caller, "write", key);
    this.lease(caller, lease, "write");
    if (prevKv) this.#permit(caller, "read", key);
  }

  deleteRange(caller: Caller, { key, rangeEnd, prevKv }: DeleteRangeRequest): void {
    this.#permit(caller, "write", key, rangeEnd);
    if (prevKv) this.#permit(caller, "read", key, rangeEnd);
  }

  txn(caller: Caller, { compare, success, failure }: TxnRequest): void {
    for (const each of compare) this.read(caller, each);
    for (const operation of [...success, ...failure]) this.#operation(caller, operation);
  }

  compact(client: Client | undefined): void {
    const caller = this.reader(client);
    if (this.#isWhole) this.admin(caller);
  }

  /** Who grants, revokes or asks about any lease, or lists members: must be somebody. */
  somebody(caller: Caller): void {
    if (this.#isWhole && !caller.isTrusted && caller.user === undefined) throw refusal("userEmpty");
  }

  /** The keys of a lease are what one must have a permission for. Nothing is asked of an unknown one. */
  lease(caller: Caller, id: bigint, access: Access): void {
    if (caller.isTrusted || this.#isRoot(caller.user)) return;
    for (const key of this.#guarded.leases.keysOf(id)) this.#permit(caller, access, keyBytes(key));
  }

  renew(client: Client | undefined, id: bigint): void {
    if (!this.#isWhole) return;
    const caller = this.reader(client);
    this.somebody(caller);
    this.lease(caller, id, "write");
  }

  timeToLive(client: Client | undefined, { id, keys }: LeaseTimeToLiveRequest): void {
    const { auth } = this.#guarded.behaviour;
    if (auth === "3.4.23" || (auth === "3.5.16" && !keys)) return;
    const caller = this.reader(client);
    if (!caller.isTrusted && caller.user === undefined) throw refusal("userEmpty");
    if (keys) this.lease(caller, id, "read");
  }

  listLeases(client: Client | undefined): void {
    if (!this.#isWhole) return;
    const caller = this.reader(client);
    this.somebody(caller);
    for (const id of this.#guarded.leases.ids) this.lease(caller, id, "read");
  }

  members(client: Client | undefined): void {
    if (this.#isWhole) this.somebody(this.reader(client));
  }

  status(client: Client | undefined): void {
    if (this.#isWhole) this.admin(this.reader(client));
  }

  alarm(client: Client | undefined, { action }: AlarmRequest): void {
    if (this.#guarded.behaviour.auth === "3.4.23") inOwnWords(() => this.reader(client));
    const caller = this.reader(client);
    if (!this.#isWhole) return;
    if (action === AlarmAction.get) this.somebody(caller);
    else this.admin(caller);
  }

  defragment(client: Client | undefined): void {
    inOwnWords(() => this.admin(this.reader(client)));
  }

  /**
   * Why a watch is refused, in the words of `cancel_reason`; `undefined` if it is not.
   *
   * A watch without end is taken for one of a single key (CVE-2026-73499).
   */
  watchRefusal(client: Client | undefined, { key, rangeEnd }: WatchCreateRequest): string | undefined {
    try {
      const isOpen = rangeEnd.length === 1 && rangeEnd[0] === 0;
      const from = key.length === 0 ? Uint8Array.of(0) : key;
      this.#permit(this.reader(client), "read", from, isOpen ? EMPTY : rangeEnd);
      return undefined;
    } catch (error) {
      const cause = (error as SdError).cause;
      if (!(cause instanceof EtcdFailure)) throw error;
      return `rpc error: code = ${codeNames[cause.status ?? 0] ?? "Unknown"} desc = ${cause.message}`;
    }
  }

  /** Only root may, by its role. */
  admin(caller: Caller): void {
    if (caller.isTrusted) return;
    if (caller.user === undefined) throw refusal("userEmpty");
    if (!this.#isRoot(caller.user)) throw refusal("permissionDenied");
  }

  /** Only root, or who it is about. */
  adminOr(caller: Caller, isOwn: (user: string) => boolean): void {
    if (!caller.isTrusted && isOwn(caller.user ?? "")) return;
    this.admin(caller);
  }

  /** Whether calls and transactions are checked through and through. */
  get #isWhole(): boolean {
    return this.#guarded.behaviour.auth === "3.5.30";
  }

  #operation(caller: Caller, { range, put, deleteRange, txn }: RequestOp): void {
    if (range) this.read(caller, range);
    else if (put && this.#isWhole) this.put(caller, put);
    else if (put) this.#permit(caller, "write", put.key);
    else if (deleteRange) this.deleteRange(caller, deleteRange);
    else if (txn && this.#isWhole) this.txn(caller, txn);
  }

  #permit(caller: Caller, access: Access, key: Uint8Array, rangeEnd: Uint8Array = EMPTY): void {
    if (caller.isTrusted) return;
    const problem = this.#problem(caller.user, access, key, rangeEnd);
    if (problem) throw refusal(problem);
  }

  #problem(
    user: string | undefined,
    access: Access,
    key: Uint8Array,
    rangeEnd: Uint8Array,
  ): Refusal | undefined {
    if (user === undefined) return "userEmpty";
    if (this.#isOvertaken) {
      this.#isOvertaken = false;
      return "authOldRevision";
    }
    if (this.#isRoot(user)) return undefined;
    const permissions = this.#guarded.auth.permissionsOfUser(user);
    return permits(permissions, access, key, rangeEnd) ? undefined : "permissionDenied";
  }

  #isRoot(user: string | undefined): boolean {
    const { auth } = this.#guarded;
    return user !== undefined && auth.hasUser(user) && auth.rolesOf(user).includes(ROOT);
  }
}

/** etcd forgets here to translate why it refuses. */
function inOwnWords(check: () => unknown): void {
  try {
    check();
  } catch (error) {
    const cause = (error as SdError).cause;
    if (!(cause instanceof EtcdFailure)) throw error;
    throw transportError(2, cause.message.replace("etcdserver: ", "auth: "));
  }
}

const codeNames: Readonly<Record<number, string>> = {
  3: "InvalidArgument",
  7: "PermissionDenied",
  16: "Unauthenticated",
};
