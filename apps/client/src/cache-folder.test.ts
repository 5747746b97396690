import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "@sd/app-common";
import { beforeEach, describe, expect, it } from "vitest";
import { cacheFile, makeCacheFolder } from "./cache-folder.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sd-cache-folder-"));
  return () => rmSync(folder, { recursive: true });
});

describe("The folder of the cache files", () => {
  it("is made for its user alone, and left as it is if it is there", () => {
    const inner = join(folder, "a", "b");
    for (let time = 0; time < 2; time += 1) makeCacheFolder(inner);
    expect(statSync(inner).mode & 0o077).toBe(0);
    expect(cacheFile(inner, "/web/")).toBe(join(inner, "%2Fweb%2F.cache"));
  });

  it("is refused, with what was given, where none can be", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    for (const [given, code] of [
      ["", "ENOENT"],
      [file, "EEXIST"],
      [join(file, "a"), "ENOTDIR"],
    ] as const) {
      expect(() => makeCacheFolder(given)).toThrow(
        new UsageError(`--cache must be a folder, got ${JSON.stringify(given)} (${code})`),
      );
    }
  });
});
