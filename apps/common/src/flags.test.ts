import { describe, expect, it } from "vitest";
import { readFlags, UsageError, wholeNumber } from "./flags.js";

const specs = { key: {}, prefix: { multiple: true } };
const read = (...argv: string[]) => readFlags(argv, specs, {});

describe("readFlags()", () => {
  it("reads --flag value and --flag=value", () => {
    expect(read("--key", "/a").one("key")).toBe("/a");
    expect(read("--key=/a=b").one("key")).toBe("/a=b");
    expect(read("--key=").one("key")).toBe("");
    expect([read().one("key"), read().all("prefix")]).toEqual([undefined, []]);
  });

  it("takes a flag several times only if it may be", () => {
    expect(read("--prefix", "/a/", "--prefix", "/b/").all("prefix")).toEqual(["/a/", "/b/"]);
    expect(() => read("--key", "/a", "--key", "/b")).toThrow(new UsageError("--key may be given once only"));
  });

  it.each(["--help", "-h"])("knows %s", (flag) => {
    expect([read(flag).help, read().help]).toEqual([true, false]);
  });

  const wrong: [argv: string[], says: string][] = [
    [["--nothing"], "--nothing"],
    [["--__proto__"], "--__proto__"],
    [["stray"], "stray"],
    [["--key"], "--key"],
    [["--key", "--prefix"], "--key"],
    [["--help=yes"], "help"],
  ];
  it.each(wrong)("refuses %j in one line that names it", (argv, says) => {
    let error: unknown;
    try {
      read(...argv);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).toContain(says);
    expect(String(error)).not.toContain("\n");
  });
});

describe("readFlags(): endpoints", () => {
  const endpoints = (argv: string[], list?: string) =>
    readFlags(argv, {}, list === undefined ? {} : { ETCD_ENDPOINTS: list }).endpoints;

  it("come from the flag, else from ETCD_ENDPOINTS, else are etcd's default", () => {
    expect(endpoints(["--endpoints", "http://a:1"], "http://b:2")).toEqual(["http://a:1"]);
    expect(endpoints([], "http://b:2")).toEqual(["http://b:2"]);
    expect(endpoints([])).toEqual(["http://127.0.0.1:2379"]);
  });

  it("are separated by commas, or given one by one; blanks do not count", () => {
    expect(endpoints(["--endpoints", "a:1, b:2,,", "--endpoints=c:3"])).toEqual(["a:1", "b:2", "c:3"]);
    expect(endpoints([], " , ")).toEqual(["http://127.0.0.1:2379"]);
  });
});

describe("wholeNumber()", () => {
  it("reads a whole number in its bounds, bounds included", () => {
    expect(["5", "007", "60"].map((text) => wholeNumber("ttl", text, 5, 60))).toEqual([5, 7, 60]);
  });

  it.each(["4", "61", "5.5", "-6", "", " 6", "6s", "1e1", "0x10", "NaN"])(
    "refuses %j and shows it",
    (text) => {
      expect(() => wholeNumber("ttl", text, 5, 60)).toThrow(
        new UsageError(`--ttl must be a whole number from 5 to 60, got ${JSON.stringify(text)}`),
      );
    },
  );
});
