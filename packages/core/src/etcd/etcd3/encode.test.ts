import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Compare, LeaseId, Operation, RangeRequest } from "../types.js";
import {
  encodeAuthenticate,
  encodeGrant,
  encodeLeaseId,
  encodeRange,
  encodeTxn,
  encodeWatch,
} from "./encode.js";
import { loadReference } from "./protobufjs.fixture.js";

const reference = await loadReference();

/** What protobufjs reads of our bytes, compared without the fields that we leave at their defaults. */
function expectRead(method: string, message: Buffer, expected: object): void {
  expect(reference[method]?.requestDeserialize(message)).toMatchObject(expected);
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const revision = fc.oneof(fc.nat(), fc.maxSafeNat());
const leaseId = fc.bigInt({ min: 1n, max: (1n << 63n) - 1n }).map((id) => id as LeaseId);
const rangeRequest: fc.Arbitrary<RangeRequest> = fc.record(
  {
    key: bytes,
    rangeEnd: bytes,
    revision,
    limit: revision,
    keysOnly: fc.boolean(),
    countOnly: fc.boolean(),
  },
  { requiredKeys: ["key"] },
);
const none = Buffer.alloc(0);

function rangeFields(range: RangeRequest): object {
  const { key, rangeEnd = none, revision = 0, limit = 0, keysOnly = false, countOnly = false } = range;
  return {
    key,
    range_end: rangeEnd,
    revision: `${revision}`,
    limit: `${limit}`,
    keys_only: keysOnly,
    count_only: countOnly,
    serializable: false,
  };
}

const compare: fc.Arbitrary<Compare> = fc.oneof(
  fc.record({ target: fc.constantFrom("create", "mod"), key: bytes, equals: revision }),
  fc.record({ target: fc.constant("lease"), key: bytes, equals: fc.oneof(fc.constant(0n), leaseId) }),
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ type: fc.constant("put"), key: bytes, value: bytes, lease: leaseId }),
  fc.record({ type: fc.constant("range"), range: rangeRequest }),
  fc.record({ type: fc.constant("delete"), key: bytes }),
);

function compareFields({ target, key, equals }: Compare): object {
  const field = { create: "create_revision", mod: "mod_revision", lease: "lease" }[target];
  const name = { create: "Create", mod: "Mod", lease: "Lease" }[target];
  return { result: "Equal", target: name, key, target_union: field, [field]: `${equals}` };
}

function operationFields(operation: Operation): object {
  switch (operation.type) {
    case "put": {
      const { key, value, lease } = operation;
      return { request: "request_put", request_put: { key, value, lease: `${lease}`, prev_kv: false } };
    }
    case "range":
      return { request: "request_range", request_range: rangeFields(operation.range) };
    case "delete":
      return {
        request: "request_delete_range",
        request_delete_range: { key: operation.key, range_end: none },
      };
  }
}

describe("the writer of requests to etcd", () => {
  it("writes a RangeRequest that protobufjs reads", () => {
    fc.assert(
      fc.property(rangeRequest, (range) => expectRead("Range", encodeRange(range), rangeFields(range))),
    );
  });

  it("writes a TxnRequest that protobufjs reads", () => {
    const operations = fc.array(operation, { maxLength: 5 });
    fc.assert(
      fc.property(
        fc.array(compare, { maxLength: 5 }),
        operations,
        operations,
        (conditions, success, failure) => {
          expectRead("Txn", encodeTxn({ compare: conditions, success, failure }), {
            compare: conditions.map(compareFields),
            success: success.map(operationFields),
            failure: failure.map(operationFields),
          });
        },
      ),
    );
  });

  it("writes lease requests with every bit of the id", () => {
    fc.assert(
      fc.property(leaseId, fc.integer({ min: 1 }), (id, ttlSeconds) => {
        expectRead("LeaseGrant", encodeGrant({ id, ttlSeconds }), { ID: `${id}`, TTL: `${ttlSeconds}` });
        expectRead("LeaseRevoke", encodeLeaseId(id), { ID: `${id}` });
        expectRead("LeaseKeepAlive", encodeLeaseId(id), { ID: `${id}` });
      }),
    );
  });

  it("writes watch requests: create, cancel, progress", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1 }), bytes, bytes, revision, (watchId, key, rangeEnd, before) => {
        const startRevision = Math.max(1, before);
        const create = encodeWatch({ type: "create", watchId, key, rangeEnd, startRevision });
        expectRead("Watch", create, {
          request_union: "create_request",
          create_request: {
            key,
            range_end: rangeEnd,
            start_revision: `${startRevision}`,
            watch_id: `${watchId}`,
            progress_notify: true,
            prev_kv: false,
            fragment: false,
          },
        });
        expectRead("Watch", encodeWatch({ type: "cancel", watchId }), {
          cancel_request: { watch_id: `${watchId}` },
        });
      }),
    );
    expectRead("Watch", encodeWatch({ type: "progress" }), { request_union: "progress_request" });
  });

  it("writes name and password", () => {
    const auth = { username: "röot", password: "p".repeat(500) };
    expectRead("Authenticate", encodeAuthenticate(auth), { name: auth.username, password: auth.password });
  });

  it.each([0n, -1n, 1n << 63n, 5 as unknown as bigint])("refuses the lease id %s (R4, R6)", (number) => {
    const id = number as LeaseId;
    const key = Buffer.from("k");
    const put = { type: "put", key, value: key, lease: id } as const;
    for (const attempt of [
      () => encodeLeaseId(id),
      () => encodeGrant({ id, ttlSeconds: 5 }),
      () => encodeTxn({ compare: [], success: [put], failure: [] }),
    ]) {
      expect(attempt).toThrow(/lease id must be a bigint from 1 to 2\^63 - 1/);
    }
  });

  it.each([0, -1, 1.5, Number.NaN])("refuses the start revision %d (D5)", (startRevision) => {
    const key = Buffer.from("k");
    expect(() => encodeWatch({ type: "create", watchId: 1, key, startRevision })).toThrow(/startRevision/);
  });

  it.each([0, -5, 2.5])("refuses a TTL of %d s", (ttlSeconds) => {
    expect(() => encodeGrant({ id: 1n as LeaseId, ttlSeconds })).toThrow(/ttlSeconds must be a whole number/);
  });
});
