import fc from "fast-check";
import { compare, deletion, NO_END, put, range, txn, watch } from "../../src/memory/requests.fixture.js";
import { methods } from "../raw-client.js";
import { type AuthStep, admin, ask, login, permission } from "./steps.js";

const { KV, Lease, Cluster, Maintenance } = methods;

const user = fc.constantFrom("root", "a", "b");
const role = fc.constantFrom("r", "s", "root");
const key = fc.constantFrom("k", "l", "m");
const lease = fc.constantFrom(0n, 1n, 2n);
const access = fc.constantFrom("read", "write", "readWrite");
/** A key, or ranges that overlap, meet and have no end. */
const span = fc.constantFrom<readonly [string, string | Uint8Array]>(
  ["k", ""],
  ["l", ""],
  ["k", "l"],
  ["l", "m"],
  ["k", "m"],
  ["l", NO_END],
  ["k", "z"],
);
/** Whose token goes with a step, if any does. Root is who gets things done. */
const as = fc.oneof(
  { arbitrary: fc.constant("root"), weight: 3 },
  { arbitrary: fc.constantFrom("a", "b"), weight: 3 },
  { arbitrary: fc.constant(undefined), weight: 1 },
);

const writes = fc.record({ key, lease, prevKv: fc.boolean() });
const putOf = ({ key: name, ...more }: { key: string; lease: bigint; prevKv: boolean }) =>
  put(name, "v", more);

const kvSteps = fc.oneof(
  fc.tuple(span, as).map(([[from, end], by]) => ask(KV.range, range({ key: from, rangeEnd: end }), by)),
  fc.tuple(writes, as).map(([given, by]) => ask(KV.put, putOf(given), by)),
  fc
    .tuple(span, fc.boolean(), as)
    .map(([[from, end], prevKv, by]) => ask(KV.deleteRange, deletion(from, end, prevKv), by)),
  fc
    .tuple(writes, key, as)
    .map(([given, other, by]) =>
      ask(KV.txn, txn({ compare: [compare(other, "mod")], failure: [{ put: putOf(given) }] }), by),
    ),
  fc
    .tuple(writes, as)
    .map(([given, by]) =>
      ask(KV.txn, txn({ success: [{ txn: txn({ success: [{ put: putOf(given) }] }) }] }), by),
    ),
  fc
    .tuple(span, as)
    .map(([[from, end], by]) =>
      ask(KV.txn, txn({ success: [{ range: range({ key: from, rangeEnd: end }) }] }), by),
    ),
  fc.tuple(span, as).map(
    ([[from, rangeEnd], by]): AuthStep => ({
      as: by,
      watch: watch({ key: from, rangeEnd }),
    }),
  ),
);

const id = fc.constantFrom(1n, 2n);
const otherSteps = fc.oneof(
  fc.tuple(id, as).map(([given, by]) => ask(Lease.grant, { id: given, ttl: 600 }, by)),
  fc.tuple(id, as).map(([given, by]) => ask(Lease.revoke, { id: given }, by)),
  fc.tuple(id, fc.boolean(), as).map(([given, keys, by]) => ask(Lease.timeToLive, { id: given, keys }, by)),
  fc.tuple(id, as).map(([given, by]): AuthStep => ({ as: by, renew: given })),
  as.map((by) => ask(Lease.leases, {}, by)),
  as.map((by) => ask(Cluster.memberList, { linearizable: true }, by)),
  as.map((by) => ask(Maintenance.defragment, {}, by)),
  fc
    .tuple(fc.constantFrom(0, 1, 2, 2), as)
    .map(([action, by]) => ask(Maintenance.alarm, { action, memberId: 1n, alarm: 1 }, by)),
);

/** Root keeps its password, so that the end can be put in order by it. */
const userSteps = fc.oneof(
  user.map((name) => login(name)),
  user.map((name) => login(name)),
  fc.tuple(user, as).map(([name, by]) => admin.userAdd(name, name, by)),
  fc.tuple(user, as).map(([name, by]) => admin.userDelete(name, by)),
  fc.tuple(user, as).map(([name, by]) => admin.userGet(name, by)),
  fc.tuple(fc.constantFrom("a", "b"), as).map(([name, by]) => admin.password(name, name, "", by)),
  as.map((by) => admin.userList(by)),
  fc.tuple(user, role, as).map(([name, given, by]) => admin.grantRole(name, given, by)),
  fc.tuple(user, role, as).map(([name, given, by]) => admin.grantRole(name, given, by)),
  fc.tuple(user, role, as).map(([name, given, by]) => admin.revokeRole(name, given, by)),
  as.map((by) => admin.enable(by)),
  as.map((by) => admin.enable(by)),
  as.map((by) => admin.disable(by)),
);

const roleSteps = fc.oneof(
  fc.tuple(role, as).map(([name, by]) => admin.roleAdd(name, by)),
  fc.tuple(role, as).map(([name, by]) => admin.roleGet(name, by)),
  fc.tuple(role, as).map(([name, by]) => admin.roleDelete(name, by)),
  as.map((by) => admin.roleList(by)),
  fc
    .tuple(role, access, span, as)
    .map(([name, given, [from, end], by]) => admin.permit(name, permission(given, from, end), by)),
  fc
    .tuple(role, access, span, as)
    .map(([name, given, [from, end], by]) => admin.permit(name, permission(given, from, end), by)),
  fc.tuple(role, key, as).map(([name, given, by]) => admin.forbid(name, given, "", by)),
);

/** Something to begin with, so that not everything is refused. */
const opening: readonly AuthStep[] = [
  admin.userAdd("root"),
  admin.grantRole("root", "root"),
  ...["a", "b"].map((name) => admin.userAdd(name)),
  ...["r", "s"].map((name) => admin.roleAdd(name)),
  admin.grantRole("a", "r"),
  admin.enable(),
  ...["root", "a", "b"].map((name) => login(name)),
];

/** What happens to users, roles, keys and leases, as it comes. */
export const authScript: fc.Arbitrary<readonly AuthStep[]> = fc
  .array(
    fc.oneof(
      { arbitrary: kvSteps, weight: 4 },
      { arbitrary: userSteps, weight: 3 },
      { arbitrary: roleSteps, weight: 2 },
      { arbitrary: otherSteps, weight: 2 },
    ),
    { minLength: 150, maxLength: 200 },
  )
  .map((steps) => [...opening, ...steps]);
