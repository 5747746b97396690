import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { bytes } from "../../test/observe.js";
import { SdError } from "../kit/errors.js";
import { defaultFormat } from "./format.js";
import { checkRecord, type InstanceRecord } from "./instance.js";
import { recall } from "./recall.js";

/** What a value says, read by itself. */
function alone(value: Uint8Array): unknown {
  try {
    return checkRecord(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(value)));
  } catch {
    return "refused";
  }
}

function read(value: Uint8Array): unknown {
  try {
    return defaultFormat.read(value);
  } catch (error) {
    if (!SdError.is(error, "SD_INVALID_ARGUMENT")) throw error;
    return "refused";
  }
}

describe("recall", () => {
  const rest = '","weight":3,"metadata":{"rack":"7"}}';

  it("reads what follows the address once, and shares it", () => {
    const reader = vi.fn((value: Uint8Array) => checkRecord(JSON.parse(Buffer.from(value).toString())));
    const values = ["a:1", "b:2", "[::1]:3"].map((address) => bytes(`{"address":"${address}${rest}`));
    const [first, ...others] = values.map((value) => recall(value, reader)) as [InstanceRecord];
    expect(reader).toHaveBeenCalledTimes(1);
    expect([first, ...others]).toEqual(
      ["a:1", "b:2", "[::1]:3"].map((address) => ({ address, weight: 3, metadata: { rack: "7" } })),
    );
    expect(others.every(({ metadata }: InstanceRecord) => metadata === first.metadata)).toBe(true);
    expect(() => recall(bytes(`{"address":"nowhere${rest}`), reader)).toThrow("address must be");
  });

  it("gives everybody a record of their own", () => {
    const value = bytes('{"address":"a:1","zone":"of their own"}');
    const first = defaultFormat.read(value) as { zone?: string };
    first.zone = "changed";
    const second = defaultFormat.read(value) as { zone?: string };
    expect(second.zone).toBe("of their own");
    second.zone = "changed";
    expect(defaultFormat.read(value).zone).toBe("of their own");
  });

  it("looks for few of those that share nothing, and finds it when they do again", () => {
    const reader = vi.fn((value: Uint8Array) => checkRecord(JSON.parse(Buffer.from(value).toString())));
    for (let index = 0; index < 2_000; index += 1) {
      const zone = `looks for ${index}`;
      expect(recall(bytes(`{"address":"a:1","zone":"${zone}"}`), reader)).toEqual({ address: "a:1", zone });
    }
    expect(reader).toHaveBeenCalledTimes(2_000);
    for (let times = 0; times < 300; times += 1) recall(bytes(`{"address":"a:1${rest}`), reader);
    expect(reader.mock.calls.length - 2_000).toBeLessThan(140);
  });

  it("forgets, and refuses what it does not know as often as it comes (D13)", () => {
    const reader = vi.fn((value: Uint8Array) => checkRecord(JSON.parse(Buffer.from(value).toString())));
    const value = (zone: unknown): Uint8Array => bytes(`{"address":"a:1","zone":"forgets ${zone}"}`);
    const known = bytes('{"address":"a:1","zone":"known"}');
    for (let index = 0; index <= 1_000; index += 1) {
      recall(value(index), reader);
      recall(known, reader);
    }
    recall(value(0), reader);
    // The one that is known was forgotten now and then, with all others.
    expect(reader.mock.calls.length - 1_002).toBeOneOf([2, 3]);
    reader.mockClear();
    const bad = bytes('{"address":"a:1","weight":-1}');
    for (let times = 0; times < 2; times += 1) expect(() => recall(bad, reader)).toThrow("weight");
    const long = bytes(`{"address":"a:1","zone":"${"x".repeat(512)}"}`);
    for (let times = 0; times < 2; times += 1) recall(long, reader);
    expect(reader).toHaveBeenCalledTimes(4);
  });

  it("says of any value what it says alone, whatever was read before it (D13)", () => {
    const part = fc.constantFrom(
      ...['"', "\\", ",", ":", "{", "}", "}}", "a:1", "b:2", '"address":"c:3"', '"\\u0061ddress":"d:4"'],
      ...['"weight":2', '"metadata":{', '"rack":"7"', '"address"', " ", "\u00e9", "\u0000", "\udc80"],
    );
    const follow = fc.oneof(
      fc.constantFrom(rest, '"}', '","address":"c:3"}', '","\\u0061ddress":"d:4"}', '","address":""}'),
      fc.array(part, { maxLength: 6 }).map((parts) => parts.join("")),
    );
    const address = fc.constantFrom(
      "a:1",
      "b:2",
      "",
      "nowhere",
      "a\\u003a1",
      "[::1]:3",
      "\u00e9:1",
      "\u007f:1",
    );
    const value = fc.tuple(address, follow).map(([first, then]) => `{"address":"${first}${then}`);
    // Each character a byte, so that some are not UTF-8.
    const encoded = fc
      .tuple(value, fc.constantFrom("utf8", "latin1"))
      .map(([text, encoding]) => Uint8Array.from(Buffer.from(text, encoding as "utf8" | "latin1")));
    fc.assert(
      fc.property(fc.array(encoded, { minLength: 2, maxLength: 8 }), (values) => {
        for (const each of values) expect(read(each)).toEqual(alone(each));
      }),
      { numRuns: 3_000 },
    );
  });
});
