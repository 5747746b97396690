import { afterEach, describe, expect, it, vi } from "vitest";
import { excerpt, formatTime, log, warn } from "./log.js";

describe("formatTime()", () => {
  const local = (ms: number, ...[year, month, day, ...time]: [number, number, number, ...number[]]): number =>
    new Date(year, month - 1, day, ...time).getTime() + ms;

  it("shows local time with six digits of a second", () => {
    expect(formatTime(local(0, 2024, 1, 2, 3, 4, 5))).toBe("2024-01-02 03:04:05.000000");
    expect(formatTime(local(7.25, 2024, 12, 31, 23, 59, 59))).toBe("2024-12-31 23:59:59.007250");
  });

  it("cuts what is finer, and never shows more than 999999", () => {
    expect(formatTime(local(999.5, 2024, 6, 1))).toBe("2024-06-01 00:00:00.999500");
    expect(formatTime(local(1_000, 2024, 6, 1))).toBe("2024-06-01 00:00:01.000000");
  });

  it("sorts as the time runs", () => {
    const times = [0, 0.5, 1, 9.75, 10, 99, 100, 1_000, 60_000].map((ms) =>
      formatTime(local(ms, 2024, 6, 1)),
    );
    expect(times.toSorted()).toEqual(times);
  });
});

describe("log() and warn()", () => {
  afterEach(() => void vi.restoreAllMocks());
  const capture = (name: "stdout" | "stderr"): string[] => {
    const lines: string[] = [];
    vi.spyOn(process[name], "write").mockImplementation((line) => {
      lines.push(String(line));
      return true;
    });
    return lines;
  };

  it("print one line each, in the documented form, on stdout and stderr", () => {
    const [out, error] = [capture("stdout"), capture("stderr")];
    log("续约成功 key:/web/node1");
    warn("careful");
    expect(out).toEqual([
      expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} I \| 续约成功 key:\/web\/node1\n$/),
    ]);
    expect(error).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} W \| careful\n$/)]);
  });

  it("escape what could forge a line or drive a terminal", () => {
    const out = capture("stdout");
    log("a\nb\u001b[31m\u2028");
    expect(out[0]).toMatch(/ I \| a\\u000ab\\u001b\[31m\\u2028\n$/);
  });
});

describe("excerpt()", () => {
  it("leaves an address alone, and cuts what is no address any more", () => {
    expect(excerpt("localhost:8000")).toBe("localhost:8000");
    expect(excerpt("x".repeat(300))).toBe("x".repeat(300));
    expect(excerpt("x".repeat(1_048_576))).toBe(`${"x".repeat(300)}... (1048576 characters)`);
  });
});
