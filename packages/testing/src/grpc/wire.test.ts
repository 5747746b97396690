import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compare, put, range, txn, watch } from "../memory/requests.fixture.js";
import { alarmMember } from "./messages-cluster.js";
import { keyValue, rangeRequest, txnRequest } from "./messages-kv.js";
import { leaseGrantRequest } from "./messages-lease.js";
import { watchCreateRequest, watchResponse } from "./messages-watch.js";
import { decode, encode } from "./methods.js";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const int64 = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
const revision = fc.maxSafeNat();
const bytes = fc.uint8Array({ maxLength: 300 });

describe("messages on the wire", () => {
  it("have the bytes that protobuf gives them", () => {
    expect(hex(encode(leaseGrantRequest, { ttl: 5, id: 9_067_077_088_720_757n }))).toBe(
      "080510f5ee98a8d6ce8d10",
    );
    expect(hex(encode(leaseGrantRequest, { ttl: -1, id: -7n }))).toBe(
      "08ffffffffffffffffff0110f9ffffffffffffffff01",
    );
    expect(hex(encode(alarmMember, { memberId: 2n ** 64n - 1n, alarm: 1 }))).toBe(
      "08ffffffffffffffffff011001",
    );
    const create = watch({ key: "a", filters: [0, 1], watchId: 300n, fragment: true });
    expect(hex(encode(watchCreateRequest, create))).toBe("0a01612800280138ac024001");
    expect(decode(watchCreateRequest, Buffer.from("0a01612a02000138ac024001", "hex"))).toEqual(create);
  });

  it("carry every 64-bit integer to the last digit", () => {
    fc.assert(
      fc.property(int64, fc.bigInt(0n, 2n ** 64n - 1n), (id, memberId) => {
        expect(decode(leaseGrantRequest, encode(leaseGrantRequest, { ttl: 1, id })).id).toBe(id);
        expect(decode(alarmMember, encode(alarmMember, { memberId, alarm: 0 })).memberId).toBe(memberId);
      }),
      { numRuns: 2_000 },
    );
  });

  it("come back as they went", () => {
    const kv = fc.record({
      key: bytes,
      value: bytes,
      createRevision: revision,
      modRevision: revision,
      version: revision,
      lease: int64,
    });
    fc.assert(
      fc.property(
        kv,
        fc.array(kv, { maxLength: 5 }),
        int64,
        fc.string(),
        (one, many, watchId, cancelReason) => {
          expect(decode(keyValue, encode(keyValue, one))).toEqual(one);
          const response = {
            header: { clusterId: 2n ** 64n - 1n, memberId: 1n, revision: 2 ** 53 - 1, raftTerm: 2n },
            watchId,
            created: false,
            canceled: true,
            compactRevision: 5,
            cancelReason,
            fragment: true,
            events: many.map((each) => ({ type: "delete" as const, kv: each, prevKv: one })),
          };
          expect(decode(watchResponse, encode(watchResponse, response))).toEqual(response);
        },
      ),
    );
    const deep = txn({
      compare: [compare("a", "lease", "less", { lease: -1n, rangeEnd: "b" })],
      success: [
        { put: put("a", "1", { prevKv: true }) },
        { txn: txn({ failure: [{ range: range({ limit: 3 }) }] }) },
      ],
      failure: [{}],
    });
    expect(decode(txnRequest, encode(txnRequest, deep))).toEqual(deep);
  });

  it("pass over fields that are not known", () => {
    const unknown = Buffer.from("7a03616263f80601f50601020304f1060102030405060708", "hex");
    const known = encode(rangeRequest, range({ key: "a", revision: 7 }));
    expect(decode(rangeRequest, Buffer.concat([unknown, known, unknown]))).toEqual(
      range({ key: "a", revision: 7 }),
    );
  });

  it("are refused if they are broken, and never read beyond their end", () => {
    const whole = encode(txnRequest, txn({ success: [{ put: put("a", "b", { lease: 5n }) }] }));
    for (let length = 1; length < whole.length; length += 1) {
      expect(() => decode(txnRequest, whole.subarray(0, length))).toThrow(Error);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (noise) => {
        try {
          decode(txnRequest, noise);
        } catch (error) {
          expect((error as Error).constructor).toBe(Error);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
