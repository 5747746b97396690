import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { etcdBinaries, oldestAndNewestEtcd } from "./etcd-binaries.js";

let folder: string;

/** A program that says that it is an etcd. */
function fakeEtcd(version: string): string {
  const file = join(folder, version);
  writeFileSync(file, `#!/bin/sh\necho "etcd Version: ${version}"\n`, { mode: 0o700 });
  return file;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sd-testing-"));
  vi.stubEnv("SD_ETCD_ALL", "");
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe("etcdBinaries", () => {
  it("are those that are named, and the oldest and newest of them whatever their order", () => {
    const [middle, newest, oldest] = ["3.5.9", "3.5.30", "3.4.23"].map(fakeEtcd) as [string, string, string];
    vi.stubEnv("SD_ETCD_BIN", middle);
    vi.stubEnv("SD_ETCD_NEWER_BIN", [newest, oldest].join(delimiter));
    expect(etcdBinaries()).toEqual([
      { name: "etcd 3.5.9", binary: middle },
      { name: "etcd 3.5.30", binary: newest },
      { name: "etcd 3.4.23", binary: oldest },
    ]);
    expect(oldestAndNewestEtcd().map(({ binary }) => binary)).toEqual([oldest, newest]);
    vi.stubEnv("SD_ETCD_ALL", "1");
    expect(oldestAndNewestEtcd()).toHaveLength(3);
  });

  it("is one if there is only one", () => {
    vi.stubEnv("SD_ETCD_BIN", fakeEtcd("3.5.16"));
    vi.stubEnv("SD_ETCD_NEWER_BIN", "");
    expect(oldestAndNewestEtcd()).toHaveLength(1);
  });
});
