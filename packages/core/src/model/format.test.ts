import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytes, text } from "../../test/observe.js";
import { defaultFormat } from "./format.js";
import type { InstanceRecord } from "./instance.js";

const read = (value: string) => defaultFormat.read(bytes(value));
const address = "10.0.0.7:8000";
const refusal = expect.objectContaining({ code: "SD_INVALID_ARGUMENT" });

/** What stands in etcd, and must be understood for ever. */
const golden: [value: string, record: InstanceRecord][] = [
  ["10.0.0.7:8000", { address }],
  ["[::1]:8000", { address: "[::1]:8000" }],
  ['{"address":"10.0.0.7:8000","weight":0}', { address, weight: 0 }],
  [
    '{"address":"10.0.0.7:8000","weight":2.5,"version":"1.2.3","zone":"eu-1","metadata":{"shard":"7"}}',
    { address, weight: 2.5, version: "1.2.3", zone: "eu-1", metadata: { shard: "7" } },
  ],
  ['{"address":"10.0.0.7:8000","zone":"caf\u00e9 \u{1f600}"}', { address, zone: "caf\u00e9 \u{1f600}" }],
  [
    '{"address":"10.0.0.7:8000","metadata":{"__proto__":"x"}}',
    { address, metadata: JSON.parse('{"__proto__":"x"}') },
  ],
];

describe("defaultFormat", () => {
  it.each(golden)("writes and reads %s", (value, record) => {
    expect(text(defaultFormat.write(record))).toBe(value);
    expect(JSON.stringify(read(value))).toBe(JSON.stringify(record));
  });

  it("reads what it wrote, whatever the texts", () => {
    const anyText = fc.string({ unit: "binary", maxLength: 20 });
    const record = fc.record(
      {
        address: fc.constant(address),
        weight: fc.double({ min: 0, max: 1_000_000, noNaN: true }).map((weight) => weight + 0),
        version: anyText,
        zone: anyText,
        metadata: fc.dictionary(anyText, anyText, { maxKeys: 8 }),
      },
      { requiredKeys: ["address"] },
    );
    fc.assert(
      fc.property(record, (record) => {
        const back = defaultFormat.read(defaultFormat.write(record));
        expect(JSON.stringify(back)).toBe(JSON.stringify({ ...record }));
      }),
    );
  });

  it.each([
    ["spaces around the object", ` \n{"address":"${address}"} `, { address }],
    ["the address of an object alone", `{"address":"${address}"}`, { address }],
    ["the last of two fields of one name", `{"address":"a:1","address":"${address}"}`, { address }],
    ["no unknown field", `{"address":"${address}","id":"x","__proto__":{"weight":9},"a":[{}]}`, { address }],
    [
      "brackets within a text as text",
      `{"address":"${address}","zone":"${'[{\\\\\\"'.repeat(20)}"}`,
      undefined,
    ],
  ])("reads %s", (_what, value, record) => {
    const got = read(value);
    expect(got).toMatchObject(record ?? { address });
    if (record) expect(Object.keys(got)).toEqual(Object.keys(record));
    expect(({} as Record<string, unknown>)["weight"]).toBe(undefined);
  });

  it("keeps the metadata of a hostile value as names that mean nothing", () => {
    const { metadata } = read(`{"address":"${address}","metadata":{"__proto__":"x","constructor":"y"}}`);
    expect(Object.entries(metadata ?? {})).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
  });

  it.each([
    ["nothing", ""],
    ["a broken object", '{"address":'],
    ["what follows an object", `{"address":"${address}"}x`],
    ["a list", `["${address}"]`],
    ["a quoted address", `"${address}"`],
    ["an address and a line feed", `${address}\n`],
    ["a byte order mark", `\ufeff${address}`],
    ["a byte order mark before an object", `\ufeff{"address":"${address}"}`],
    ["an object without an address", "{}"],
    ["an address only in the prototype", `{"__proto__":{"address":"${address}"}}`],
    ["an infinite weight", `{"address":"${address}","weight":1e400}`],
    ["a negative weight", `{"address":"${address}","weight":-1}`],
    ["a weight of text", `{"address":"${address}","weight":"1"}`],
    ["no weight", `{"address":"${address}","weight":null}`],
    ["a version that is no text", `{"address":"${address}","version":1}`],
    ["nested metadata", `{"address":"${address}","metadata":{"a":{"b":"c"}}}`],
    ["metadata as a prototype", `{"address":"${address}","metadata":{"__proto__":{"a":"b"}}}`],
    ["lists nested 9 deep", `{"address":"${address}","a":${"[".repeat(8)}${"]".repeat(8)}}`],
    ["lists nested 10,000 deep", `{"address":"${address}","a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
    ["objects nested 5,000 deep", `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`],
    ["more than 64 KiB", `{"address":"${address}","a":"${"x".repeat(65_536)}"}`],
    ["more than 64 KiB of address", "a".repeat(65_537)],
  ])("refuses %s (D13)", (_what, value) => expect(() => read(value)).toThrow(refusal));

  it.each([
    ["a lone byte", [0xff]],
    ["half a character", [0x7b, 0xc3]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("refuses what is not UTF-8: %s (D13)", (_what, value) => {
    expect(() => defaultFormat.read(Uint8Array.from(value))).toThrow(refusal);
  });

  it("reads any bytes, or throws SD_INVALID_ARGUMENT with a short message on one line (D13)", () => {
    const value = fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.json().map(bytes), fc.string().map(bytes));
    fc.assert(
      fc.property(value, (bytesOfValue) => {
        try {
          defaultFormat.read(bytesOfValue);
        } catch (error) {
          expect(error).toEqual(refusal);
          expect((error as Error).message).toMatch(/^.{1,300}$/);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("takes exactly 64 KiB and 8 levels", () => {
    const start = `{"address":"${address}","a":"`;
    const value = `${start}${"x".repeat(65_536 - start.length - 2)}"}`;
    expect(value).toHaveLength(65_536);
    expect(read(value)).toEqual({ address });
    expect(read(`{"address":"${address}","a":${"[".repeat(7)}${"]".repeat(7)}}`)).toEqual({ address });
  });

  it("does not write what it could not read", () => {
    const metadata = { a: "\u00e9".repeat(40_000) };
    expect(() => defaultFormat.write({ address, metadata })).toThrow(
      /^the instance must be at most 65536 bytes when written, got \d+$/,
    );
    expect(() => defaultFormat.write({ address: "nowhere" })).toThrow(refusal);
  });
});
