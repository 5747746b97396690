import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SdError } from "../../kit/errors.js";
import type { Header, KeyValue, RangeResponse, WatchResponse } from "../types.js";
import { decodeRange, decodeTxn } from "./decode-kv.js";
import { decodeLease, decodeRevoke, decodeToken } from "./decode-lease.js";
import { decodeWatch } from "./decode-watch.js";
import { loadReference } from "./protobufjs.fixture.js";

/** What etcd would send, written by protobufjs from etcd3's proto files. */
const reference = await loadReference();
function serialized(method: string, message: object): Buffer {
  const bytes = reference[method]?.responseSerialize(message);
  if (!bytes) throw new Error(`no method ${method}`);
  return bytes;
}

const revision = fc.oneof(fc.nat(), fc.maxSafeNat());
const ttl = fc.oneof(fc.integer(), fc.maxSafeInteger());
const uint64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const int64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
const bytes = fc.uint8Array({ maxLength: 300 });
const plain = { noNullPrototype: true };

const header: fc.Arbitrary<Header> = fc.record(
  { clusterId: uint64, memberId: uint64, revision, raftTerm: uint64 },
  plain,
);
const keyValue: fc.Arbitrary<KeyValue> = fc.record(
  {
    key: bytes,
    value: bytes,
    createRevision: revision,
    modRevision: revision,
    version: revision,
    lease: int64,
  },
  plain,
);
const rangeResponse: fc.Arbitrary<RangeResponse> = fc.record(
  { header, kvs: fc.array(keyValue), more: fc.boolean(), count: revision },
  plain,
);
const watchResponse: fc.Arbitrary<WatchResponse> = fc.record(
  {
    header,
    watchId: ttl,
    created: fc.boolean(),
    canceled: fc.boolean(),
    compactRevision: revision,
    cancelReason: fc.string({ unit: "binary" }),
    fragment: fc.boolean(),
    events: fc.array(fc.record({ type: fc.constantFrom("put", "delete"), kv: keyValue }, plain)),
  },
  plain,
);

function headerMessage({ clusterId, memberId, revision, raftTerm }: Header): object {
  return { cluster_id: `${clusterId}`, member_id: `${memberId}`, revision, raft_term: `${raftTerm}` };
}

function keyValueMessage({ createRevision, modRevision, lease, ...same }: KeyValue): object {
  return { ...same, create_revision: createRevision, mod_revision: modRevision, lease: `${lease}` };
}

function rangeMessage({ header, kvs, more, count }: RangeResponse): object {
  return { header: headerMessage(header), kvs: kvs.map(keyValueMessage), more, count };
}

function watchMessage({ header, events, ...flags }: WatchResponse): object {
  const { watchId, created, canceled, compactRevision, cancelReason, fragment } = flags;
  return {
    header: headerMessage(header),
    watch_id: watchId,
    created,
    canceled,
    compact_revision: compactRevision,
    cancel_reason: cancelReason,
    fragment,
    events: events.map(({ type, kv }) => ({
      type: type === "put" ? "Put" : "Delete",
      kv: keyValueMessage(kv),
    })),
  };
}

/** With all fields as own ones: what is decoded makes its views when they are asked for. */
function plainKeyValue({ key, value, createRevision, modRevision, version, lease }: KeyValue): KeyValue {
  return {
    key: Uint8Array.from(key),
    value: Uint8Array.from(value),
    createRevision,
    modRevision,
    version,
    lease,
  };
}

function plainRange({ header, kvs, more, count }: RangeResponse): RangeResponse {
  return { header, kvs: kvs.map(plainKeyValue), more, count };
}

const anyMessage: fc.Arbitrary<Buffer> = fc.oneof(
  rangeResponse.map((response) => serialized("Range", rangeMessage(response))),
  watchResponse.map((response) => serialized("Watch", watchMessage(response))),
);

const decoders = [decodeRange, decodeTxn, decodeWatch, decodeLease, decodeRevoke, decodeToken];

/** Decodes with everything we have; whatever comes of it, it is a value or `SD_INVARIANT`. */
function expectCleanEnd(message: Uint8Array): void {
  for (const decode of decoders) {
    try {
      decode(message);
      const { kvs, page } = decodeRange(message);
      expect(kvs).toHaveLength(page?.length ?? 0);
      for (const range of decodeTxn(message).ranges) expect(range.kvs).toHaveLength(range.page?.length ?? 0);
    } catch (error) {
      expect(SdError.is(error, "SD_INVARIANT"), String(error)).toBe(true);
    }
  }
}

describe("the reader of etcd's answers", () => {
  it("reads what protobufjs writes of a RangeResponse", () => {
    fc.assert(
      fc.property(rangeResponse, (response) => {
        expect(plainRange(decodeRange(serialized("Range", rangeMessage(response))))).toEqual(response);
      }),
    );
  });

  it("reads a page in slices, and its last key by itself", () => {
    fc.assert(
      fc.property(rangeResponse, fc.integer({ min: 1, max: 4 }), (response, size) => {
        const message = serialized("Range", rangeMessage(response));
        const { page } = decodeRange(message);
        const slices = Array.from(page?.slices(size) ?? [], (slice) => slice.map(plainKeyValue));
        expect(slices.flat()).toEqual(response.kvs);
        expect(slices.every((slice, at) => slice.length === size || at === slices.length - 1)).toBe(true);
        expect(page).toMatchObject({ length: response.kvs.length, bytes: message.length });
        expect(page?.last && plainKeyValue(page.last)).toEqual(response.kvs.at(-1));
      }),
    );
  });

  it("refuses a broken key within a list when it comes to it", () => {
    const list = Buffer.from("12030a0161" + "12020aff", "hex");
    const [first] = decodeRange(list).page?.slices(1) ?? [];
    expect(first?.map(plainKeyValue)).toMatchObject([{ key: Uint8Array.of(0x61) }]);
    expect(() => decodeRange(list).kvs).toThrow(/cannot be read/);
    expect(() => decodeRange(list).page?.last).toThrow(/cannot be read/);
    const { ranges } = decodeTxn(Buffer.from(`1a0b0a09${list.toString("hex")}`, "hex"));
    expect(ranges).toHaveLength(1);
    expect(() => ranges[0]?.kvs).toThrow(/cannot be read/);
  });

  it("reads what protobufjs writes of a WatchResponse", () => {
    fc.assert(
      fc.property(watchResponse, (response) => {
        const { events, ...rest } = decodeWatch(serialized("Watch", watchMessage(response)));
        const plainEvents = events.map(({ type, kv }) => ({ type, kv: plainKeyValue(kv) }));
        expect({ ...rest, events: plainEvents }).toEqual(response);
      }),
    );
  });

  it("reads the ranges of a TxnResponse and passes over its other answers", () => {
    const others = fc.constantFrom(
      { response_put: { header: { revision: 7 } } },
      { response_delete_range: { header: { revision: 7 }, deleted: 1 } },
      { response_txn: { succeeded: true, responses: [{ response_range: { count: 9 } }] } },
    );
    const answers = fc.array(fc.oneof(rangeResponse, others));
    fc.assert(
      fc.property(header, fc.boolean(), answers, (head, succeeded, list) => {
        const responses = list.map((answer) =>
          "kvs" in answer ? { response_range: rangeMessage(answer) } : answer,
        );
        const message = serialized("Txn", { header: headerMessage(head), succeeded, responses });
        const ranges = list.filter((answer) => "kvs" in answer);
        const decoded = decodeTxn(message);
        expect({ ...decoded, ranges: decoded.ranges.map(plainRange) }).toEqual({
          header: head,
          succeeded,
          ranges,
        });
      }),
    );
  });

  it("reads leases, with a TTL below 0 as etcd's grpc-proxy sends it", () => {
    fc.assert(
      fc.property(header, int64, ttl, (head, id, ttlSeconds) => {
        const message = { header: headerMessage(head), ID: `${id}`, TTL: ttlSeconds };
        const response = { header: head, id, ttlSeconds };
        expect(decodeLease(serialized("LeaseGrant", message))).toEqual(response);
        expect(decodeLease(serialized("LeaseKeepAlive", message))).toEqual(response);
        expect(decodeRevoke(serialized("LeaseRevoke", message))).toEqual({ header: head });
      }),
    );
    expect(decodeLease(serialized("LeaseKeepAlive", { TTL: "-1" })).ttlSeconds).toBe(-1);
  });

  it("reads a token", () => {
    expect(decodeToken(serialized("Authenticate", { header: {}, token: "abc.17" }))).toBe("abc.17");
  });

  it("gives zeros for a message without header, and for an empty one", () => {
    const header = { clusterId: 0n, memberId: 0n, revision: 0, raftTerm: 0n };
    expect(decodeRange(Buffer.alloc(0))).toMatchObject({ header, kvs: [], more: false, count: 0 });
    expect(decodeRevoke(Buffer.alloc(0))).toEqual({ header });
  });

  it("passes over fields that it does not know", () => {
    const known = serialized("Range", { count: 3 });
    const unknown = Buffer.from("f80101" + "fa01026869" + "fd0101020304" + "f9010102030405060708", "hex");
    expect(decodeRange(Buffer.concat([unknown, known, unknown])).count).toBe(3);
  });

  it.each([
    ["a cut varint", "20ff"],
    ["a varint of eleven bytes", `20${"80".repeat(10)}01`],
    ["a count above 2^53", "2080808080808080808001"],
    ["a negative count", "20ffffffffffffffffff01"],
    ["a length beyond the end", "12ff01"],
    ["a length of 2^32", "128080808010"],
    ["an inner message longer than the outer one", "0a0208ff"],
    ["a group", "0b0c"],
    ["wire type 7", "0f"],
    ["field number 0", "0001"],
    ["a field number above 2^29", "8080808080010a"],
    ["a cut fixed64", "f901010203"],
  ])("refuses %s", (_what, hex) => {
    expect(() => decodeRange(Buffer.from(hex, "hex"))).toThrow(/cannot be read/);
  });

  it("never fails but by SD_INVARIANT, whatever the bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), expectCleanEnd), { numRuns: 2_000 });
  });

  it("never fails but by SD_INVARIANT on messages that are cut or altered", () => {
    const altered = fc
      .tuple(anyMessage, fc.nat(), fc.nat({ max: 255 }), fc.nat())
      .map(([message, at, byte, end]) => {
        const copy = Buffer.from(message);
        if (copy.length > 0) copy[at % copy.length] = byte;
        return copy.subarray(0, copy.length - (end % 3 === 0 ? end % (copy.length + 1) : 0));
      });
    fc.assert(fc.property(altered, expectCleanEnd), { numRuns: 1_000 });
  });

  it("does not read beyond a message that is part of a bigger block", () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), (message, cut) => {
        const block = Buffer.concat([Buffer.alloc(7, 0x80), message, Buffer.alloc(64, 0x0a)]);
        expectCleanEnd(block.subarray(7, 7 + (cut % (message.length + 1))));
      }),
    );
  });

  it("copies nothing of a watch message: its events are views of it", () => {
    const kv = { key: Buffer.from("/web/1"), value: Buffer.alloc(100, 1) };
    const message = serialized("Watch", { events: Array.from({ length: 50 }, () => ({ kv })) });
    for (const event of decodeWatch(message).events) {
      expect(event.kv.value.buffer).toBe(message.buffer);
      expect(event.kv.value).toHaveLength(100);
    }
  });
});
