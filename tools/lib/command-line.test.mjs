import { describe, expect, it } from "vitest";
import { positiveNumber, readFlags, requireWritable, UsageError, wholeNumber } from "./command-line.mjs";

const flags = /** @type {const} */ ({ seconds: { type: "string" }, help: { type: "boolean" } });

describe("readFlags", () => {
  it("reads the named flags", () => {
    expect(readFlags(flags, ["--seconds", "5", "--help"])).toEqual({ seconds: "5", help: true });
  });

  it.each([[["--second", "5"]], [["5"]], [["--seconds"]], [["--help=5"]]])(
    "refuses %j in one line",
    (args) => {
      expect(() => readFlags(flags, args)).toThrow(UsageError);
      expect(() => readFlags(flags, args)).toThrow(/^[^\n]+$/);
    },
  );
});

describe("positiveNumber", () => {
  it("takes fractions and leaves out what is not given", () => {
    expect(positiveNumber("seconds", "1.5")).toBe(1.5);
    expect(positiveNumber("seconds", undefined)).toBeUndefined();
  });

  it.each(["0", "-1", "x", "", " ", "Infinity", "NaN"])("refuses %j and says it", (value) => {
    expect(() => positiveNumber("seconds", value)).toThrow(
      `--seconds must be a number above 0, got "${value}"`,
    );
  });
});

describe("wholeNumber()", () => {
  it("takes whole numbers of at least 1, and shows what it refuses", () => {
    expect([wholeNumber("runs", "7"), wholeNumber("runs", undefined)]).toEqual([7, undefined]);
    for (const text of ["0", "1.5", "-1", "", "1e3", "x", "9".repeat(20)]) {
      expect(() => wholeNumber("runs", text)).toThrow(
        new UsageError(`--runs must be a whole number of at least 1, got ${JSON.stringify(text)}`),
      );
    }
  });
});

describe("requireWritable()", () => {
  it("refuses what cannot be written, before a run", () => {
    requireWritable("json", undefined);
    expect(() => requireWritable("json", "/")).toThrow(
      new UsageError('--json must be a file that can be written, got "/" (EISDIR)'),
    );
  });
});
