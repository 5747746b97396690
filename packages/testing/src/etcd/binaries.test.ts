import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cleanEnv, findEtcd, findEtcdctl } from "./binaries.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("findEtcd", () => {
  it("tells how to get an etcd if there is none", () => {
    vi.stubEnv("SD_ETCD_BIN", "");
    vi.stubEnv("PATH", "/nowhere");
    expect(() => findEtcd()).toThrow(/npm test.*SD_ETCD_BIN/);
  });

  it("prefers the argument, then SD_ETCD_BIN, and does not look further", () => {
    vi.stubEnv("SD_ETCD_BIN", "/nowhere/etcd");
    expect(findEtcd(process.execPath)).toBe(process.execPath);
    expect(() => findEtcd()).toThrow("SD_ETCD_BIN is not an executable file: /nowhere/etcd");
    vi.stubEnv("SD_ETCD_BIN", process.execPath);
    expect(findEtcd()).toBe(process.execPath);
  });
});

describe("findEtcdctl", () => {
  it("prefers what lies beside etcd: another version's cannot all that this one can", () => {
    const folder = mkdtempSync(join(tmpdir(), "sd-tools-"));
    const etcd = join(folder, "etcd");
    vi.stubEnv("SD_ETCDCTL", process.execPath);
    expect(findEtcdctl(etcd)).toBe(process.execPath);
    const beside = join(folder, "etcdctl");
    writeFileSync(beside, "");
    chmodSync(beside, 0o755);
    expect(findEtcdctl(etcd)).toBe(beside);
    rmSync(folder, { recursive: true });
  });
});

describe("cleanEnv", () => {
  it("hides what etcd would take for flags, and nothing else", () => {
    vi.stubEnv("ETCD_NAME", "x");
    vi.stubEnv("ETCDCTL_ENDPOINTS", "x");
    vi.stubEnv("SD_ETCD_BIN", "kept");
    const env = cleanEnv("x64");
    expect([env["ETCD_NAME"], env["ETCDCTL_ENDPOINTS"], env["SD_ETCD_BIN"]]).toEqual([
      undefined,
      undefined,
      "kept",
    ]);
  });

  it("tells etcd 3.4 that it may run on this machine", () => {
    vi.stubEnv("ETCD_UNSUPPORTED_ARCH", "other");
    expect(cleanEnv("arm64")["ETCD_UNSUPPORTED_ARCH"]).toBe("arm64");
    expect(cleanEnv("x64")["ETCD_UNSUPPORTED_ARCH"]).toBe(undefined);
  });
});
