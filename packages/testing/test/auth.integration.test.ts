import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { createClient, failureOf, servicePrefix } from "@sd/core";
import { discover } from "@sd/discover";
import { register } from "@sd/register";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually, leakCheck, MemoryEtcd, type MemoryEtcdServer, serveMemoryEtcd } from "../src/index.js";
import { etcdctl } from "./etcdctl.js";

let memory: MemoryEtcd;
let server: MemoryEtcdServer;

beforeEach(async () => {
  memory = new MemoryEtcd();
  server = await serveMemoryEtcd(memory);
});
afterEach(() => memory.close());

function users(prefix: string): void {
  memory.auth.addRole("web", { access: "readWrite", prefix });
  memory.auth.addUser("ann", { password: "s3cret", roles: ["web"] });
  memory.auth.enable();
}

describe("etcdctl on MemoryEtcd", () => {
  const ctl = (...args: string[]) => etcdctl(server.endpoint, args);
  const by = (user: string, ...args: string[]) => ctl("--user", user, ...args);

  it("adds users and roles, switches authentication on, and may do what it may", async () => {
    expect(await ctl("user", "add", "root:r00t")).toBe("User root created\n");
    expect(await ctl("role", "add", "web")).toBe("Role web created\n");
    await ctl("role", "grant-permission", "web", "--prefix=true", "readwrite", "/web/");
    await ctl("user", "add", "ann:s3cret");
    await ctl("user", "grant-role", "ann", "web");
    // It grants root its role by itself.
    expect(await ctl("auth", "enable")).toBe("Authentication Enabled\n");

    expect(await by("ann:s3cret", "put", "/web/1", "x")).toBe("OK\n");
    await expect(by("ann:s3cret", "put", "/api/1", "x")).rejects.toThrow("etcdserver: permission denied");
    await expect(by("ann:wrong", "get", "/web/1")).rejects.toThrow(
      "etcdserver: authentication failed, invalid user ID or password",
    );
    await expect(ctl("get", "/web/1")).rejects.toThrow("etcdserver: user name is empty");
    await expect(by("ann:s3cret", "user", "list")).rejects.toThrow("etcdserver: permission denied");
    expect(await by("root:r00t", "user", "list")).toBe("ann\nroot\n");
    expect(await by("root:r00t", "role", "get", "web")).toBe(
      "Role web\nKV Read:\n\t[/web/, /web0) (prefix /web/)\nKV Write:\n\t[/web/, /web0) (prefix /web/)\n",
    );
    await by("root:r00t", "role", "revoke-permission", "web", "--prefix=true", "/web/");
    await expect(by("ann:s3cret", "get", "/web/1")).rejects.toThrow("etcdserver: permission denied");
    expect(await by("root:r00t", "auth", "disable")).toBe("Authentication Disabled\n");
    expect(await ctl("get", "/web/1")).toBe("/web/1\nx\n");
  });
});

describe("the package etcd3 on MemoryEtcd", () => {
  it("authenticates, is refused what it may not, and again when its token has ended", async () => {
    users("/web/");
    const program = new URL("./etcd3-auth.mjs", import.meta.url).pathname;
    const child = spawn(process.execPath, [program, server.endpoint, "ann", "s3cret"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout });
    const [ready] = await once(lines, "line");
    expect(ready).toBe("watching");
    memory.expireTokens();
    child.stdin.end("go on\n");
    const [result] = await once(lines, "line");
    expect(JSON.parse(result)).toEqual({
      read: { "/web/1": "one" },
      denied: "EtcdPermissionDeniedError",
      watched: "/web/2=two",
      wrong: "EtcdAuthenticationFailedError",
    });
  });
});

describe("register and discover on MemoryEtcd over gRPC", () => {
  it("go on while tokens end every 50 ms, and one that is not let in says so (R18, F50)", async () => {
    using leaks = leakCheck();
    const service = "web";
    users(servicePrefix(service));
    const { endpoint } = server;
    const auth = { username: "ann", password: "s3cret" };
    const writer = createClient({ endpoints: endpoint, auth });
    const reader = createClient({ endpoints: endpoint, auth });
    const ending = setInterval(() => memory.expireTokens(), 50);
    const registration = await register(writer, {
      service,
      id: "node1",
      address: "localhost:8000",
      ttlSeconds: 5,
    });
    const discovery = await discover(reader, { service });
    const { revision } = memory;
    for (let turn = 0; turn < 7; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      if (turn === 2) memory.cut();
    }
    await eventually(() => expect(discovery.state.status).toBe("live"));
    expect([registration.state.status, memory.revision]).toEqual(["registered", revision]);
    await registration.update({ weight: 0 });
    await eventually(() => expect(discovery.snapshot.instances).toMatchObject([{ id: "node1", weight: 0 }]));
    clearInterval(ending);

    const stranger = createClient({ endpoints: endpoint, auth: { username: "ann", password: "wrong" } });
    const refused = await stranger.transport.range({ key: Buffer.from("/web/") }).catch(failureOf);
    expect(refused).toBe("auth");
    await Promise.all([writer.close(), reader.close(), stranger.close()]);
    await memory.close();
    await leaks.assertClean({ withinMs: 5_000 });
  });
});
