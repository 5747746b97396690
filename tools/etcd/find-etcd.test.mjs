import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { compareVersions, etcdEnvironment, findEtcd } from "./find-etcd.mjs";

/** @type {string} */
let folder;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sd-find-etcd-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

/** @param {string} name @param {string} script */
async function program(name, script) {
  await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, name), 0o755);
}

describe("findEtcd with SD_ETCD_BIN", () => {
  it("takes a folder, and a binary with etcdctl beside it", async () => {
    await program("etcd", "echo etcd Version: 3.5.99");
    await program("etcdctl", "true");
    const expected = { etcd: join(folder, "etcd"), etcdctl: join(folder, "etcdctl"), version: "3.5.99" };
    vi.stubEnv("SD_ETCD_BIN", folder);
    expect(await findEtcd()).toEqual(expected);
    vi.stubEnv("SD_ETCD_BIN", join(folder, "etcd"));
    expect(await findEtcd()).toEqual(expected);
  });

  it("refuses what is not there, instead of looking elsewhere", async () => {
    vi.stubEnv("SD_ETCD_BIN", join(folder, "nothing"));
    await expect(findEtcd()).rejects.toThrow(
      `SD_ETCD_BIN is ${folder}/nothing, but ${folder}/nothing is not a program`,
    );
  });

  it("refuses an etcd that does not run, that is no etcd, or that is too old", async () => {
    vi.stubEnv("SD_ETCD_BIN", folder);
    await program("etcdctl", "true");
    await program("etcd", "echo wrong libc; exit 1");
    await expect(findEtcd()).rejects.toThrow(/does not run on this machine.*wrong libc/s);
    await program("etcd", "echo hello");
    await expect(findEtcd()).rejects.toThrow("does not name a version of etcd");
    await program("etcd", "echo etcd Version: 3.3.25");
    await expect(findEtcd()).rejects.toThrow("3.4 is the oldest that works");
  });
});

describe("etcdEnvironment", () => {
  it("leaves the caller's etcd settings out", () => {
    vi.stubEnv("ETCD_NAME", "mine");
    vi.stubEnv("ETCDCTL_ENDPOINTS", "http://elsewhere.test");
    expect(etcdEnvironment()).not.toHaveProperty("ETCD_NAME");
    expect(etcdEnvironment()).not.toHaveProperty("ETCDCTL_ENDPOINTS");
  });
});

describe("compareVersions", () => {
  it("compares by number", () => {
    expect(compareVersions("3.10.0", "3.9.9")).toBeGreaterThan(0);
    expect(compareVersions("3.4.23", "3.4")).toBeGreaterThan(0);
    expect(compareVersions("3.3.27", "3.4")).toBeLessThan(0);
  });
});
