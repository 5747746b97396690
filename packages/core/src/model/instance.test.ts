import { describe, expect, it } from "vitest";
import { checkRecord } from "./instance.js";

const address = "localhost:8000";

describe("checkRecord", () => {
  it("copies the known fields and leaves everything else behind", () => {
    const input = { address, weight: 0, version: "1", zone: "", metadata: { a: "b" }, lease: "7", id: "x" };
    const record = checkRecord(input);
    expect(record).toEqual({ address, weight: 0, version: "1", zone: "", metadata: { a: "b" } });
    input.metadata.a = "changed";
    expect(record.metadata?.["a"]).toBe("b");
    expect(Object.isFrozen(record.metadata)).toBe(true);
  });

  it("adds no field that was not given", () => {
    expect(Object.keys(checkRecord({ address, weight: undefined }))).toEqual(["address"]);
  });

  it("keeps metadata that inherit nothing, so that every name is safe to look up", () => {
    const metadata = JSON.parse('{"__proto__": "a", "constructor": "b", "toString": "c"}');
    const copy = checkRecord({ address, metadata }).metadata ?? {};
    const inherited = Object.getPrototypeOf(copy);
    expect([Reflect.ownKeys(inherited), Object.getPrototypeOf(inherited)]).toEqual([[], null]);
    expect([Object.isFrozen(copy), Object.isFrozen(inherited)]).toEqual([true, true]);
    expect(Object.entries(copy)).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
      ["toString", "c"],
    ]);
    expect(copy["hasOwnProperty"]).toBe(undefined);
    expect(({} as Record<string, unknown>)["a"]).toBe(undefined);
  });

  it("takes 64 entries of metadata and no more", () => {
    const entries = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}`, ""]));
    expect(Object.keys(checkRecord({ address, metadata: entries(64) }).metadata ?? {})).toHaveLength(64);
    expect(() => checkRecord({ address, metadata: entries(65) })).toThrow(
      "metadata must be at most 64 entries, got 65",
    );
  });

  it.each<[string, unknown]>([
    ["an instance", undefined],
    ["an instance", null],
    ["an instance", address],
    ["an instance", [address]],
    ["address", {}],
    ["weight", { address, weight: -1 }],
    ["weight", { address, weight: 1_000_001 }],
    ["weight", { address, weight: Number.NaN }],
    ["weight", { address, weight: "1" }],
    ["weight", { address, weight: null }],
    ["version", { address, version: 1 }],
    ["zone", { address, zone: null }],
    ["metadata", { address, metadata: "a" }],
    ["metadata", { address, metadata: ["a"] }],
    ["metadata", { address, metadata: null }],
    ['metadata "a"', { address, metadata: { a: 1 } }],
    ['metadata "\\u001b"', { address, metadata: { "\u001b": {} } }],
  ])("says that %s is wrong in %j", (subject, input) => {
    expect(() => checkRecord(input)).toThrow(
      expect.objectContaining({
        code: "SD_INVALID_ARGUMENT",
        message: expect.stringContaining(`${subject} must be `),
      }),
    );
  });
});
