import { CompareResult, CompareTarget, EMPTY, SortOrder, SortTarget } from "../../src/memory/api/kv.js";
import { compare, deletion, NO_END, put, range, txn, watch } from "../../src/memory/requests.fixture.js";
import type { Planned } from "./steps.js";

const nested = (length: number) => ({
  txn: txn({ success: Array.from({ length }, (_, n) => ({ range: range({ key: `${n + 1}` }) })) }),
});
const everywhere = { key: NO_END, rangeEnd: NO_END };
const a = { put: put("a") };

/** What etcd does in cases where one might not expect it, by name. Each begins where the last has ended. */
export const scripts: Readonly<Record<string, readonly Planned[]>> = {
  "compaction of nothing": [
    { compact: { revision: 0, physical: true } },
    { compact: { revision: 0, physical: true } },
    { compact: { revision: -1, physical: true } },
    { compact: { revision: 5, physical: false } },
  ],
  "malformed requests": [
    { range: range() },
    { put: put("") },
    { deleteRange: deletion("") },
    { put: put("a", "1", { ignoreValue: true }) },
    { put: put("a", "", { lease: 5n, ignoreLease: true }) },
    { put: put("missing", "", { ignoreLease: true }) },
    { put: put("a", "", { lease: 99n }) },
    { put: put("missing", "", { lease: 99n, ignoreValue: true }) },
    { txn: txn({ success: [{ put: put("missing", "", { lease: 99n, ignoreValue: true }) }] }) },
    { txn: txn({ success: [{}] }) },
    { txn: txn({ compare: [compare("", "mod")] }) },
    { range: range({ key: "a", revision: -3 }) },
    { txn: txn({ success: [{ range: range({ key: "a", revision: -3 }) }] }) },
    { txn: txn({ success: [a, { range: range({ key: "a", revision: 1_000_000 }) }] }) },
    { range: range({ key: "a", revision: 1_000_000 }) },
    { range: range({ key: "z", rangeEnd: "a" }) },
  ],
  "transactions of more than 128 operations": [
    { txn: txn() },
    { txn: nested(128).txn },
    { txn: nested(129).txn },
    { txn: txn({ success: [nested(127)] }) },
    { txn: txn({ success: [nested(128)] }) },
    { txn: txn({ compare: Array.from({ length: 129 }, () => compare("a", "mod")) }) },
  ],
  "keys given twice in a transaction": [
    { txn: txn({ success: [a, a] }) },
    { txn: txn({ failure: [a, { deleteRange: deletion("a") }] }) },
    { txn: txn({ success: [{ deleteRange: deletion("A", "b") }, a] }) },
    { txn: txn({ success: [{ deleteRange: deletion("a", NO_END) }, a] }) },
    { txn: txn({ success: [a, { deleteRange: deletion("a", NO_END, true) }] }) },
    { txn: txn({ success: [{ txn: txn({ success: [a] }) }, a] }) },
    { txn: txn({ success: [{ txn: txn({ success: [a], failure: [a] }) }] }) },
    { txn: txn({ success: [{ txn: txn({ failure: [{ deleteRange: deletion("a") }] }) }, a] }) },
    { txn: txn({ success: [{ deleteRange: deletion("a") }, { deleteRange: deletion("a") }] }) },
  ],
  "inner transactions": [
    {
      txn: txn({
        success: [
          { put: put("n1", "v", { prevKv: true }) },
          {
            txn: txn({
              compare: [compare("n1", "version")],
              success: [{ put: put("n2") }, { range: range({ key: "n", rangeEnd: "o" }) }],
              failure: [{ put: put("n3") }],
            }),
          },
          { range: range({ key: "n1" }) },
          { deleteRange: deletion("n2", "n2", true) },
        ],
      }),
    },
    { range: range({ key: "n", rangeEnd: "o" }) },
  ],
  comparisons: Object.entries(CompareTarget).flatMap(([name, target]) =>
    [...Object.values(CompareResult), 9].flatMap((result) =>
      ["n1", "none"].map((key): Planned => {
        const operand = { version: { version: 1 }, value: { value: NO_END }, lease: { lease: 1n } };
        const given = name === "create" || name === "mod" ? {} : operand[name as keyof typeof operand];
        return { txn: txn({ compare: [{ ...compare(key, "mod", "equal", given), target, result }] }) };
      }),
    ),
  ),
  "order and bounds": [
    ...["c", "a", "b"].map((value, index): Planned => ({ put: put(`s/${index}`, value) })),
    ...Object.values(SortTarget).flatMap((sortTarget) =>
      [...Object.values(SortOrder), 7].flatMap((sortOrder) =>
        [-1, 0, 2].map(
          (limit): Planned => ({ range: range({ key: "s/", rangeEnd: "s0", sortTarget, sortOrder, limit }) }),
        ),
      ),
    ),
    (revision) => ({ range: range({ ...everywhere, minModRevision: revision - 1, limit: 1 }) }),
    (revision) => ({ range: range({ ...everywhere, maxCreateRevision: revision - 1, keysOnly: true }) }),
    { range: range({ ...everywhere, countOnly: true, limit: 1, sortOrder: 2 }) },
  ],
  "TTLs that are raised, and the highest": [
    ...[-1, 0, 1, 2, 3, 9_000_000_000, 9_000_000_001].flatMap((ttl, index): Planned[] => {
      const id = BigInt(500 + index);
      return [{ grant: { id, ttl } }, { renew: { id } }, { revoke: { id } }];
    }),
  ],
  "keys that change their lease": [
    { grant: { id: 601n, ttl: 600 } },
    { grant: { id: 602n, ttl: 600 } },
    { put: put("m/a", "1", { lease: 601n }) },
    { put: put("m/a", "2", { lease: 602n }) },
    { put: put("m/b", "1", { lease: 601n }) },
    { put: put("m/b", "2", { prevKv: true }) },
    { put: put("m/c", "1", { lease: 601n }) },
    { deleteRange: deletion("m/c", EMPTY, true) },
    { put: put("m/c", "2") },
    { revoke: { id: 601n } },
    { range: range({ key: "m/", rangeEnd: "m0" }) },
    { txn: txn({ compare: [compare("m/a", "lease", "equal", { lease: 602n })], success: [a] }) },
    { revoke: { id: 602n } },
    { range: range({ key: "m/", rangeEnd: "m0" }) },
  ],
  "what an event tells of its key": [
    { grant: { id: 701n, ttl: 600 } },
    { watch: { create: watch({ key: "v/", rangeEnd: "v0" }) } },
    { watch: { create: watch({ key: "v/", rangeEnd: "v0", prevKv: true }) } },
    { put: put("v/b", "1", { lease: 701n }) },
    { put: put("v/b", "2", { ignoreLease: true }) },
    { put: put("v/b", "", { ignoreValue: true }) },
    { deleteRange: deletion("v/b") },
    {
      txn: txn({
        success: [{ put: put("v/b", "3", { lease: 701n }) }, { put: put("v/a", "1", { lease: 701n }) }],
      }),
    },
    { revoke: { id: 701n } },
    { put: put("v/b", "4") },
  ],
  "requests that are too large": [
    // The limit of raft is 1.5 MiB, that of gRPC 2 MiB: one below and one above each.
    ...[1_572_000, 1_573_000, 2_097_000, 2_098_000].flatMap((size): Planned[] => {
      const value = new Uint8Array(size);
      return [
        { put: put("x", value) },
        { txn: txn({ success: [{ put: put("x", value) }] }) },
        { range: range({ key: value }) },
        { deleteRange: deletion("x", value) },
      ];
    }),
    { deleteRange: deletion("x") },
  ],
  leases: [
    { grant: { id: 0n, ttl: 500 } },
    { grant: { id: -7n, ttl: 700 } },
    { grant: { id: -7n, ttl: 700 } },
    { grant: { id: 9_067_077_088_720_757n, ttl: 9_000_000_001 } },
    { grant: { id: 9_067_077_088_720_757n, ttl: 9_000_000_000 } },
    { put: put("l/b", "", { lease: -7n }) },
    { put: put("l/a", "", { lease: -7n }) },
    { put: put("l/a", "x", { ignoreLease: true }) },
    { timeToLive: { id: -7n, keys: true } },
    { timeToLive: { id: 12_345n, keys: true } },
    { leases: {} },
    { renew: { id: -7n } },
    { renew: { id: 12_345n } },
    { put: put("l/b") },
    { revoke: { id: -7n } },
    { range: range({ key: "l/", rangeEnd: "l0" }) },
    { revoke: { id: -7n } },
    { revoke: { id: 0n } },
    { renew: { id: -7n } },
  ],
  "no space": [
    { alarm: { action: 1, memberId: 5n, alarm: 1 } },
    { alarm: { action: 1, memberId: 5n, alarm: 1 } },
    { alarm: { action: 1, memberId: 5n, alarm: 0 } },
    { alarm: { action: 2, memberId: 6n, alarm: 1 } },
    { alarm: { action: 0, memberId: 0n, alarm: 0 } },
    { put: put("a", "", { lease: 77n }) },
    { grant: { id: 0n, ttl: 9_000_000_001 } },
    { txn: txn({ failure: [a] }) },
    { txn: txn({ success: [{ txn: txn({ success: [{ put: put("inner") }] }) }] }) },
    { deleteRange: deletion("inner") },
    { status: {} },
    { alarm: { action: 2, memberId: 5n, alarm: 1 } },
    { alarm: { action: 2, memberId: 5n, alarm: 0 } },
    { put: put("a") },
    { status: {} },
  ],
  "ids of watches; the answer to one that is taken has the id -1": [
    ...[0n, 5n, 0n, 5n, -3n, 2n ** 60n + 1n, 2n, 0n, 0n].map(
      (watchId): Planned => ({ watch: { create: watch({ key: "w", watchId }) } }),
    ),
    { watch: { cancel: { watchId: 99n } } },
    { watch: { cancel: { watchId: 5n } } },
    { watch: { create: watch({ key: "w", watchId: 5n }) } },
    { put: put("w") },
  ],
  "ranges of watches; an empty one is refused with a reason": [
    { watch: { create: watch({ key: "b", rangeEnd: "a" }) } },
    { watch: { create: watch({ key: "b", rangeEnd: "b" }) } },
    { watch: { create: watch({ key: "b", rangeEnd: NO_END }) } },
    { watch: { create: watch() } },
    { watch: { create: watch({ key: "", rangeEnd: NO_END }) } },
    { put: put("a") },
    { put: put("b") },
    { txn: txn({ success: [{ put: put("z") }, { put: put("y") }, { deleteRange: deletion("a", "c") }] }) },
  ],
  "filters and previous values": [
    { watch: { create: watch({ key: "f", prevKv: true }) } },
    { watch: { create: watch({ key: "f", filters: [0] }) } },
    { watch: { create: watch({ key: "f", filters: [1], prevKv: true }) } },
    { watch: { create: watch({ key: "f", filters: [0, 1] }) } },
    { watch: { create: watch({ key: "f", filters: [7] }) } },
    { put: put("f", "1") },
    { put: put("f", "2") },
    { deleteRange: deletion("f") },
    { deleteRange: deletion("f") },
    { put: put("f", "3") },
  ],
  "a start before the compaction: canceled at revision 0, without a reason": [
    { put: put("o", "1") },
    { put: put("o", "2") },
    { put: put("o", "3") },
    (revision) => ({ compact: { revision: revision - 1, physical: true } }),
    (revision) => ({ watch: { create: watch({ key: "o", startRevision: revision - 2 }) } }),
    (revision) => ({ watch: { create: watch({ key: "o", startRevision: revision - 1, prevKv: true }) } }),
    { watch: { create: watch({ key: "o", startRevision: 1 }) } },
    { pause: 300 },
    { put: put("o", "4") },
  ],
  "history, with the newest header": [
    (revision) => ({ watch: { create: watch({ key: "s/", rangeEnd: "s0", startRevision: revision - 12 }) } }),
    (revision) => ({ watch: { create: watch({ key: "f", startRevision: revision - 4, prevKv: true }) } }),
    { pause: 300 },
    { put: put("s/0") },
  ],
  "a start in the future, and below 0": [
    (revision) => ({ watch: { create: watch({ key: "w", startRevision: revision + 3 }) } }),
    { watch: { create: watch({ key: "w", startRevision: -5, watchId: 8n }) } },
    { pause: 300 },
    { put: put("w", "1") },
    { put: put("w", "2") },
    { put: put("w", "3") },
    { put: put("w", "4") },
  ],
  "progress, with the id -1": [
    { watch: { progress: {} } },
    { pause: 100 },
    { watch: { create: watch({ key: "w" }) } },
    { pause: 250 },
    { watch: { progress: {} } },
    { pause: 100 },
    (revision) => ({ watch: { create: watch({ key: "w", startRevision: revision + 1 }) } }),
    { pause: 250 },
    { watch: { progress: {} } },
    { pause: 100 },
    { put: put("elsewhere") },
    { watch: { progress: {} } },
    { pause: 100 },
    { watch: { create: watch({ key: "w", startRevision: 2 }) } },
    { pause: 250 },
    { watch: { progress: {} } },
  ],
  "a key deleted at the compaction": [
    { put: put("d", "1") },
    { deleteRange: deletion("d") },
    { put: put("e", "1") },
    { put: put("e", "2") },
    (revision) => ({ compact: { revision: revision - 2, physical: true } }),
    (revision) => ({ watch: { create: watch({ ...everywhere, startRevision: revision - 3, watchId: 4n }) } }),
    (revision) => ({
      watch: { create: watch({ ...everywhere, startRevision: revision - 2, prevKv: true }) },
    }),
    { pause: 300 },
    { watch: { create: watch({ key: "w", watchId: 4n }) } },
    { watch: { progress: {} } },
    { watch: { cancel: { watchId: 4n } } },
    { watch: { create: watch({ key: "w", watchId: 4n }) } },
    (revision) => ({ range: range({ ...everywhere, revision: revision - 3 }) }),
    (revision) => ({ range: range({ ...everywhere, revision: revision - 2 }) }),
    (revision) => ({ txn: txn({ success: [{ range: range({ key: "e", revision: revision - 3 }) }] }) }),
    (revision) => ({ compact: { revision: revision - 2, physical: true } }),
  ],
  fragments: [
    ...Array.from(
      { length: 6 },
      (_, n): Planned => ({ put: put(`g/${n}`, new Uint8Array(n < 5 ? 500_000 : 1)) }),
    ),
    (revision) => ({
      watch: { create: watch({ key: "g/", rangeEnd: "g0", startRevision: revision - 5, fragment: true }) },
    }),
    (revision) => ({ watch: { create: watch({ key: "g/", rangeEnd: "g0", startRevision: revision - 5 }) } }),
    { pause: 500 },
    { deleteRange: deletion("g/", "g0") },
  ],
  "batches of 1000 revisions": [
    ...Array.from({ length: 1_150 }, (_, n): Planned => ({ put: put(`h/${n % 7}`, `${n}`) })),
    (revision) => ({
      watch: { create: watch({ key: "h/", rangeEnd: "h0", startRevision: revision - 1_149 }) },
    }),
    (revision) => ({ watch: { create: watch({ key: "h/3", startRevision: revision - 1_149 }) } }),
    { pause: 600 },
    { put: put("h/3", "live") },
  ],
};
