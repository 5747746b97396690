import { expect, describe as group, it, vi } from "vitest";
import { describe, invalidArgument, SdError, type SdErrorCode } from "./errors.js";

group("SdError", () => {
  it.each<[SdErrorCode, boolean]>([
    ["SD_INVALID_ARGUMENT", false],
    ["SD_CLOSED", false],
    ["SD_UNAVAILABLE", true],
    ["SD_PERMISSION", false],
    ["SD_CONFLICT", false],
    ["SD_LEASE_LOST", true],
    ["SD_COMPACTED", true],
    ["SD_NO_INSTANCE", true],
    ["SD_INVARIANT", false],
  ])("of code %s tells whether trying again can help: %s", (code, retryable) => {
    expect(new SdError(code, "x")).toMatchObject({ name: "SdError", code, retryable, message: "x" });
  });

  it("carries the error underneath, if there is one", () => {
    const cause = new Error("socket hang up");
    expect(new SdError("SD_UNAVAILABLE", "x", { cause }).cause).toBe(cause);
    expect("cause" in new SdError("SD_UNAVAILABLE", "x")).toBe(false);
  });

  it("is recognised from another copy of the package", async () => {
    vi.resetModules();
    const copy = await import("./errors.js");
    const foreign = new copy.SdError("SD_CLOSED", "x");
    expect(foreign).not.toBeInstanceOf(SdError);
    expect(SdError.is(foreign)).toBe(true);
    expect(SdError.is(foreign, "SD_CLOSED")).toBe(true);
    expect(SdError.is(foreign, "SD_CONFLICT")).toBe(false);
  });

  it.each([undefined, null, "SD_CLOSED", 0, new Error("SD_CLOSED"), { name: "SdError", code: "SD_CLOSED" }])(
    "is not what only looks like one: %j",
    (value) => expect(SdError.is(value)).toBe(false),
  );

  it("hides its mark from those who list or print it", () => {
    expect(Object.getOwnPropertySymbols({ ...new SdError("SD_CLOSED", "x") })).toEqual([]);
  });
});

group("invalidArgument", () => {
  it("says the subject, the requirement and the value", () => {
    expect(invalidArgument("ttlSeconds", "at least 2", 0)).toMatchObject({
      code: "SD_INVALID_ARGUMENT",
      message: "ttlSeconds must be at least 2, got 0",
    });
  });
});

group("describe", () => {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;

  it.each<[unknown, string]>([
    ["web", '"web"'],
    [7n, "7n"],
    [Number.NaN, "NaN"],
    [undefined, "undefined"],
    [Symbol("x"), "symbol"],
    [() => 1, "a function"],
    [new Uint8Array(3), "3 bytes"],
    [cycle, "object"],
    [{ a: [1] }, '{"a":[1]}'],
  ])("shows %s shortly", (value, text) => expect(describe(value)).toBe(text));

  it("cuts what is long", () => {
    const text = describe("x".repeat(1_000));
    expect(text).toHaveLength(120);
    expect(text.endsWith("...")).toBe(true);
  });

  it.each([
    ...[
      "\n",
      "\u001b",
      "\u0085",
      "\u009f",
      "\u00ad",
      "\u061c",
      "\u180e",
      "\u200f",
      "\u2028",
      "\u202e",
      "\u2066",
    ],
    ...["\u206f", "\ufeff", "\ufff9"],
  ])("lets no log line be forged: %j", (char) => expect(describe(`a${char}b`)).not.toContain(char));
});
