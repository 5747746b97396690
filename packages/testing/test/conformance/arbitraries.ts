import fc from "fast-check";
import { type Compare, CompareTarget, EMPTY, type RequestOp } from "../../src/memory/api/kv.js";
import { compare, deletion, NO_END, put, range, txn, watch } from "../../src/memory/requests.fixture.js";
import type { Planned } from "./steps.js";

/** Few keys, so that they meet; no more than twelve, as beyond that Go does not sort equal ones stably. */
const key = fc.constantFrom(
  ...["a", "a/", "a/1", "a/2", "b", "b\0", "c"],
  Uint8Array.of(0),
  Uint8Array.of(0x61, 0xff),
  Uint8Array.of(0xff),
);
const rangeEnd = fc.oneof(
  { weight: 3, arbitrary: fc.constant(EMPTY) },
  { weight: 3, arbitrary: fc.constantFrom("a0", "b", "c", "z") },
  { weight: 1, arbitrary: fc.constant(NO_END) },
);
const value = fc.constantFrom("", "0", "1", "a longer one", Uint8Array.of(0xff, 0xfe));
const knownLease = fc.constantFrom(1n, 2n, -3n, 9_067_077_088_720_757n);
const lease = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0n) },
  { weight: 4, arbitrary: knownLease },
  { weight: 1, arbitrary: fc.constant(404n) },
);
const flag = fc.oneof(
  { weight: 4, arbitrary: fc.constant(false) },
  { weight: 1, arbitrary: fc.constant(true) },
);

/** Turns into a revision when it is known which one is the newest: 0, one of the last, or one to come. */
const age = fc.oneof(
  { weight: 5, arbitrary: fc.constant(undefined) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: -2, max: -1 }) },
);
type At = (revision: number) => number;
const at = age.map(
  (back): At =>
    (revision) =>
      back === undefined ? 0 : revision - back,
);

type AtRevision<Value> = (revision: number) => Value;

const rangeRequest = fc
  .record({
    key,
    rangeEnd,
    limit: fc.integer({ min: -1, max: 4 }),
    sortOrder: fc.integer({ min: 0, max: 3 }),
    sortTarget: fc.integer({ min: 0, max: 4 }),
    keysOnly: flag,
    countOnly: flag,
    serializable: flag,
    bounds: fc.tuple(at, at, at, at),
    revision: at,
  })
  .map(
    ({ bounds: [minMod, maxMod, minCreate, maxCreate], revision: readAt, ...rest }) =>
      (revision: number) =>
        range({
          ...rest,
          revision: readAt(revision),
          minModRevision: minMod(revision),
          maxModRevision: maxMod(revision),
          minCreateRevision: minCreate(revision),
          maxCreateRevision: maxCreate(revision),
        }),
  );

const putRequest = fc
  .record({ key, value, lease, prevKv: flag, ignoreValue: flag, ignoreLease: flag })
  .map(({ key: name, value: content, ...more }) => put(name, content, more));

const deleteRequest = fc.tuple(key, rangeEnd, flag).map((given) => deletion(...given));

/** Not up to `\0`: with a put of a key in there that keeps value or lease, etcd panics (3.4.23, 3.5.16, 3.5.30). */
const deleteInTxn = deleteRequest.filter(({ rangeEnd: end }) => end !== NO_END);

/** With the operand that the target asks for, and no other: protobuf would drop all but one. */
const comparison = fc
  .record({
    key,
    rangeEnd,
    target: fc.constantFrom(...(Object.keys(CompareTarget) as (keyof typeof CompareTarget)[])),
    result: fc.constantFrom("equal", "greater", "less", "notEqual"),
    version: fc.integer({ min: -1, max: 3 }),
    value,
    lease,
    revision: at,
  })
  .map(
    (given): AtRevision<Compare> =>
      (revision) => {
        const operands = {
          version: { version: given.version },
          create: { createRevision: given.revision(revision) },
          mod: { modRevision: given.revision(revision) },
          value: { value: given.value },
          lease: { lease: given.lease },
        };
        return compare(given.key, given.target, given.result, {
          rangeEnd: given.rangeEnd,
          ...operands[given.target],
        });
      },
  );

function txnRequest(depth: number): fc.Arbitrary<AtRevision<ReturnType<typeof txn>>> {
  const simple = fc.oneof(
    rangeRequest.map(
      (request): AtRevision<RequestOp> =>
        (revision) => ({ range: request(revision) }),
    ),
    putRequest.map(
      (request): AtRevision<RequestOp> =>
        () => ({ put: request }),
    ),
    deleteInTxn.map(
      (request): AtRevision<RequestOp> =>
        () => ({ deleteRange: request }),
    ),
  );
  const operation =
    depth === 0
      ? simple
      : fc.oneof(
          { weight: 4, arbitrary: simple },
          {
            weight: 1,
            arbitrary: txnRequest(depth - 1).map(
              (request): AtRevision<RequestOp> =>
                (revision) => ({ txn: request(revision) }),
            ),
          },
        );
  const branch = fc.array(operation, { maxLength: 3 });
  return fc.record({ compare: fc.array(comparison, { maxLength: 2 }), success: branch, failure: branch }).map(
    ({ compare: conditions, success, failure }) =>
      (revision) =>
        txn({
          compare: conditions.map((each) => each(revision)),
          success: success.map((each) => each(revision)),
          failure: failure.map((each) => each(revision)),
        }),
  );
}

const call = fc.oneof(
  { weight: 6, arbitrary: putRequest.map((request): Planned => ({ put: request })) },
  { weight: 3, arbitrary: deleteRequest.map((request): Planned => ({ deleteRange: request })) },
  {
    weight: 6,
    arbitrary: rangeRequest.map(
      (request): Planned =>
        (now) => ({ range: request(now) }),
    ),
  },
  {
    weight: 6,
    arbitrary: txnRequest(2).map(
      (request): Planned =>
        (now) => ({ txn: request(now) }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({ id: knownLease, ttl: fc.integer({ min: 500, max: 5_000 }) })
      .map((request): Planned => ({ grant: request })),
  },
  { weight: 1, arbitrary: lease.map((id): Planned => ({ revoke: { id } })) },
  { weight: 1, arbitrary: lease.map((id): Planned => ({ renew: { id } })) },
  {
    weight: 1,
    arbitrary: fc
      .record({ id: lease, keys: fc.boolean() })
      .map((request): Planned => ({ timeToLive: request })),
  },
  { weight: 1, arbitrary: fc.constant<Planned>({ leases: {} }) },
);

const compaction = fc.integer({ min: -1, max: 60 }).map(
  (back): Planned =>
    (now) => ({ compact: { revision: now - back, physical: true } }),
);

/** A watch from now on or from the past; the past is given the time to come. */
const watching = fc
  .record({
    key,
    rangeEnd,
    filters: fc.uniqueArray(fc.integer({ min: 0, max: 1 })),
    prevKv: fc.boolean(),
    fragment: flag,
    watchId: fc.constantFrom(0n, 0n, 0n, 7n, -8n),
    back: fc.option(fc.integer({ min: -3, max: 50 })),
  })
  .map(({ back, ...request }): Planned[] => [
    (now) => {
      const startRevision = back === null ? 0 : Math.max(1, now - back);
      return { watch: { create: watch({ ...request, startRevision }) } };
    },
    { pause: back !== null && back >= 0 ? 230 : 0 },
  ]);

const canceling = fc
  .constantFrom(0n, 1n, 7n, 9n)
  .map((watchId): Planned[] => [{ watch: { cancel: { watchId } } }]);

/** A stretch of calls with what may come between: at most one compaction or watch, as each takes its time. */
const stretch = fc
  .tuple(
    fc.array(call, { minLength: 80, maxLength: 140, size: "max" }),
    fc.oneof(
      compaction.map((step): Planned[] => [{ pause: 20 }, step]),
      watching,
      canceling,
      fc.constant<Planned[]>([]),
    ),
  )
  .map(([calls, between]) => [...between, ...calls]);

/** Steps that two etcds must answer alike. */
export const script: fc.Arbitrary<Planned[]> = fc
  .array(stretch, { minLength: 5, maxLength: 7, size: "max" })
  .map((parts) => parts.flat());
