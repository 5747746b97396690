import { once } from "node:events";
import { mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CertificateAuthority, EtcdProcess } from "../src/index.js";

let etcd: EtcdProcess;

beforeAll(async () => {
  etcd = await EtcdProcess.start();
});
afterAll(() => etcd[Symbol.asyncDispose]());

const revision = async () => {
  const answer: unknown = JSON.parse(await etcd.ctl("get", "/a", "--write-out=json"));
  return (answer as { readonly header: { readonly revision: number } }).header.revision;
};

describe("EtcdProcess", () => {
  it("serves when `start()` resolves, and answers etcdctl", async () => {
    expect(etcd.version).toMatch(/^3\.\d+\.\d+/);
    expect(etcd.endpoint).toBe(`http://127.0.0.1:${etcd.port}`);
    await etcd.ctl("put", "/a", "1");
    expect(await etcd.ctl("get", "/a", "--print-value-only")).toBe("1\n");
  });

  it("compacts, and tells what etcdctl says against it", async () => {
    await etcd.ctl("put", "/a", "2");
    await etcd.compact(await revision());
    await expect(etcd.ctl("get", "/a", "--rev=1")).rejects.toThrow("required revision has been compacted");
    await expect(etcd.compact(1_000)).rejects.toThrow("future revision");
  });

  it("keeps ports and data over kill, stop and restart", async () => {
    const { endpoint, pid } = etcd;
    const before = await revision();
    await etcd.kill();
    expect([etcd.isRunning, etcd.pid]).toEqual([false, undefined]);
    await etcd.restart();
    expect(etcd.endpoint).toBe(endpoint);
    expect(etcd.pid).not.toBe(pid);
    expect(await revision()).toBe(before);
    await etcd.stop();
    await etcd.stop();
    await etcd.restart();
    expect(await revision()).toBe(before);
  });

  it("accepts connections and answers nothing while it is frozen", async () => {
    await etcd.freeze();
    const socket = connect(etcd.port, "127.0.0.1");
    await once(socket, "connect");
    await expect(etcd.ctl("--command-timeout=500ms", "get", "/a")).rejects.toThrow("deadline exceeded");
    etcd.thaw();
    await etcd.ctl("get", "/a");
    socket.destroy();
    await etcd.freeze();
    await etcd.stop();
    await etcd.restart();
  });

  it("loses its data only when told, and only while it is down", async () => {
    await etcd.ctl("put", "/a", "3");
    await expect(etcd.wipe()).rejects.toThrow("etcd runs");
    await etcd.kill();
    await etcd.wipe();
    await etcd.restart();
    expect(await revision()).toBe(1);
  });

  it("shows etcd's log when it does not start", async () => {
    await expect(EtcdProcess.start({ args: ["--no-such-flag"] })).rejects.toThrow("no-such-flag");
  });

  it("refuses a fixed port that is taken", async () => {
    await expect(EtcdProcess.start({ port: etcd.port })).rejects.toThrow("address already in use");
  });

  it("leaves nothing behind", async () => {
    const directory = mkdtempSync(join(tmpdir(), "sd-testing-"));
    vi.stubEnv("TMPDIR", directory);
    const other = await EtcdProcess.start({ args: ["--log-level=info"] });
    vi.unstubAllEnvs();
    const pid = Number(other.pid);
    expect(readdirSync(directory)).toHaveLength(1);
    expect(other.log()).not.toBe("");
    await Promise.all([other.close(), other.close()]);
    expect(readdirSync(directory)).toEqual([]);
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await expect(other.restart()).rejects.toMatchObject({ code: "SD_CLOSED" });
    expect(readdirSync(directory)).toEqual([]);
    rmdirSync(directory);
  });

  it("leaves nothing behind when its certificates cannot be made", async () => {
    const directory = mkdtempSync(join(tmpdir(), "sd-testing-"));
    vi.stubEnv("TMPDIR", directory);
    const authority = await CertificateAuthority.create();
    vi.spyOn(authority, "server").mockRejectedValue(new Error("no entropy"));
    await expect(EtcdProcess.start({ tls: { authority } })).rejects.toThrow("no entropy");
    vi.unstubAllEnvs();
    rmdirSync(directory);
  });
});
