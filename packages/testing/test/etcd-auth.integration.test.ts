import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EtcdAuth, EtcdProcess, etcdBinaries } from "../src/index.js";
import { readOnce } from "./etcd-client.js";

const auth: EtcdAuth = {
  users: {
    root: { password: "s3cret" },
    web: {
      password: "w3b",
      permissions: [
        { prefix: "/web/", access: "readwrite" },
        { key: "/limit", access: "read" },
      ],
    },
    idle: { password: "id1e" },
  },
};

describe.each(etcdBinaries())("authentication of $name", ({ binary }) => {
  let etcd: EtcdProcess;

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
    await etcd.ctl("put", "/limit", "5");
  });
  afterAll(() => etcd[Symbol.asyncDispose]());

  const web = (...args: readonly string[]) => etcd.ctl("--user=web:w3b", ...args);

  it("needs a root that `ctl()` can be, and does nothing without one", async () => {
    await expect(etcd.enableAuth({ users: {} })).rejects.toThrow(
      "users must hold root, which etcd wants, got none",
    );
    await expect(etcd.enableAuth({ users: { web: {} } })).rejects.toThrow("got web");
    await expect(etcd.enableAuth({ users: { root: {} } })).rejects.toThrow("must have a password");
    expect(await etcd.ctl("user", "list")).toBe("");
  });

  it("lets each user do what it may, and nobody else anything; `ctl()` is root", async () => {
    await etcd.enableAuth(auth);
    expect(await readOnce(etcd, "/limit")).toMatch(/^auth: /);
    await web("put", "/web/a", "1");
    expect(await web("get", "--print-value-only", "/limit")).toBe("5\n");
    await expect(web("put", "/limit", "6")).rejects.toThrow("permission denied");
    await expect(web("get", "/web")).rejects.toThrow("permission denied");
    await expect(etcd.ctl("--user=idle:id1e", "get", "/web/a")).rejects.toThrow("permission denied");
    await expect(etcd.ctl("--user=web:wr0ng", "get", "/web/a")).rejects.toThrow("authentication failed");
    await etcd.ctl("put", "/limit", "6");
    expect((await etcd.status()).revision).toBe(4);
  });

  it("is still on after a restart, and off when told, with no user left", async () => {
    await etcd.restart();
    await expect(web("put", "/limit", "7")).rejects.toThrow("permission denied");
    await etcd.disableAuth();
    expect(await readOnce(etcd, "/limit")).toBe("6");
    expect(await etcd.ctl("user", "list")).toBe("");
    expect(await etcd.ctl("role", "list")).toBe("");
    await etcd.enableAuth(auth);
    expect(await readOnce(etcd, "/limit")).toMatch(/^auth: /);
    await etcd.disableAuth();
  });
});
