import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inRange, prefixRange } from "./key-range.js";

const hex = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, "hex"));

describe("prefixRange", () => {
  it.each([
    ["2f61", "2f61", "2f62"],
    ["2f7765622f", "2f7765622f", "2f77656230"],
    ["00", "00", "01"],
    ["fe", "fe", "ff"],
    ["61ff", "61ff", "62"],
    ["61ffff", "61ffff", "62"],
    ["ff", "ff", "00"],
    ["ffff", "ffff", "00"],
    ["", "00", "00"],
  ])("of %s is from %s to %s", (prefix, key, rangeEnd) => {
    expect(prefixRange(hex(prefix))).toEqual({ key: hex(key), rangeEnd: hex(rangeEnd) });
  });

  it("holds exactly the keys that begin with the prefix", () => {
    const key = fc.uint8Array({ maxLength: 4 });
    const edge = fc.array(fc.constantFrom(0, 1, 0x61, 0xfe, 0xff), { maxLength: 4 });
    const anyKey = fc.oneof(
      key,
      edge.map((bytes) => Uint8Array.from(bytes)),
    );
    fc.assert(
      fc.property(
        anyKey,
        anyKey.filter(({ length }) => length > 0),
        (prefix, key) => {
          const { key: from, rangeEnd: to = Uint8Array.of() } = prefixRange(prefix);
          const isEndless = to.length === 1 && to[0] === 0;
          const isIn = Buffer.compare(key, from) >= 0 && (isEndless || Buffer.compare(key, to) < 0);
          expect(isIn).toBe(Buffer.from(key).subarray(0, prefix.length).equals(prefix));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("keeps no more memory than its own, where a Buffer is a piece of 8 KiB", () => {
    const { key } = prefixRange(Buffer.from("/web/"));
    expect(key.buffer.byteLength).toBe(5);
  });

  it("leaves the bytes of a Buffer alone", () => {
    const prefix = Buffer.from("/web/");
    const { rangeEnd } = prefixRange(prefix);
    expect(prefix.toString()).toBe("/web/");
    expect(Buffer.from(rangeEnd ?? []).toString()).toBe("/web0");
  });
});

describe("inRange", () => {
  it.each([
    ["2f612f", "2f612f62", true],
    ["2f612f", "2f612f", true],
    ["2f612f", "2f6130", false],
    ["2f612f", "2f61", false],
    ["ff", "ffff", true],
    ["ff", "fe", false],
    ["", "00", true],
  ])("of the prefix %s and the key %s is %s", (prefix, key, expected) => {
    expect(inRange(hex(key), prefixRange(hex(prefix)))).toBe(expected);
  });

  it("of a single key is just that key", () => {
    expect(inRange(hex("61"), { key: hex("61") })).toBe(true);
    expect(inRange(hex("6161"), { key: hex("61") })).toBe(false);
  });
});
