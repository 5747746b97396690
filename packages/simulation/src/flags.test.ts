import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import { oneOf, positive, runCommand, UsageError, whole, writable } from "./flags.js";

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

describe("The flags of a command", () => {
  it("are whole numbers, where they are numbers", () => {
    expect([whole("from", "0"), positive("seeds", "7")]).toEqual([0, 7]);
    for (const text of ["", " ", "x", "1.5", "-1", "1e99"]) {
      expect(() => whole("from", text)).toThrow(
        new UsageError(`--from must be a whole number from 0, got ${JSON.stringify(text)}`),
      );
    }
    expect(() => positive("seeds", "0")).toThrow('--seeds must be a whole number of at least 1, got "0"');
  });

  it("name files that can be written, which is known before a run begins", () => {
    const folder = mkdtempSync(join(tmpdir(), "sd-flags-"));
    writable("json", undefined);
    writable("json", join(folder, "a.json"));
    for (const [path, code] of [
      ["", "ENOENT"],
      [folder, "EISDIR"],
      [join(folder, "none", "a.json"), "ENOENT"],
    ] as const) {
      expect(() => writable("json", path)).toThrow(
        new UsageError(`--json must be a file that can be written, got ${JSON.stringify(path)} (${code})`),
      );
    }
    rmSync(folder, { recursive: true });
  });

  it("do not contradict each other", () => {
    oneOf({ rivals: true, silent: false });
    expect(() => oneOf({ rivals: true, silent: true })).toThrow(
      new UsageError("of --rivals and --silent only one can be given"),
    );
  });
});

describe("runCommand()", () => {
  it("tells a wrong flag in one line", async () => {
    const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    await runCommand(async () => positive("seeds", "x"));
    await runCommand(async () => Object.keys(parseArgs({ args: ["stray"], options: {} })).length);
    expect(written.mock.calls.map(([text]) => text)).toEqual([
      '--seeds must be a whole number from 0, got "x" (--help shows the flags)\n',
      expect.stringMatching(/^Unexpected argument 'stray'[^\n]* \(--help shows the flags\)\n$/),
    ]);
    expect(process.exitCode).toBe(2);
  });

  it("lets through what is no wrong flag, with its stack", async () => {
    const bug = new TypeError("x is not a function");
    await expect(runCommand(() => Promise.reject(bug))).rejects.toBe(bug);
  });
});
