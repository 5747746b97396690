import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  EtcdProcess,
  eventually,
  FaultProxy,
  leakCheck,
  type NodeChild,
  oldestAndNewestEtcd,
  startNode,
} from "@sd/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

const server = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const client = fileURLToPath(new URL("../../client/dist/main.js", import.meta.url));
const TTL = 5;
const stamp = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} I \| /;

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "sd-cache-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe.each(oldestAndNewestEtcd())("the two documented processes, on $name", ({ binary }) => {
  let etcd: EtcdProcess;
  let leaks: ReturnType<typeof leakCheck>;
  let endpoint = "";
  /** A prefix of its own for each test. */
  let prefix = "";

  const startServer = (...args: string[]): NodeChild =>
    startNode(server, [
      "--key",
      `${prefix}node1`,
      "--value",
      "localhost:8000",
      "--endpoints",
      endpoint,
      ...args,
    ]);
  const startClient = (...args: string[]): NodeChild =>
    startNode(client, ["--prefix", prefix, "--endpoints", endpoint, ...args]);

  beforeAll(async () => {
    etcd = await EtcdProcess.start({ binary });
    endpoint = etcd.endpoint;
  });
  afterAll(() => etcd[Symbol.asyncDispose]());
  beforeEach(({ task }) => {
    prefix = `/${task.id}/`;
    leaks = leakCheck({ ignore: /etcd-process/ });
  });
  afterEach(() => leaks.assertClean({ withinMs: 3_000 }));

  it("prints the documented lines from registration to deregistration", async () => {
    await using reader = startClient("--every", "1");
    await reader.waitForLine(`watching prefix:${prefix} now...`);
    await using writer = startServer("--ttl", String(TTL));
    await writer.waitForLine(`Put key:${prefix}node1  val:localhost:8000  success!`);
    await writer.waitForLine(/续约成功 cluster_id:\d+ member_id:\d+ revision:\d+ raft_term:\d+$/);
    await reader.waitForLine(`put key : ${prefix}node1 val: localhost:8000`);
    await reader.waitForLine(`map[${prefix}node1:localhost:8000]`);

    const signaledAt = performance.now();
    writer.signal("SIGTERM");
    const gone = await reader.waitForLine(`del key: ${prefix}node1`);
    expect(gone.at - signaledAt, "gone at once").toBeLessThan(1_000);
    expect(await writer.exited).toEqual({ code: 0, signal: null });
    expect(writer.lines.slice(-2).map(({ text }) => text.replace(stamp, ""))).toEqual([
      "撤销租约",
      "关闭续租",
    ]);
    await reader.waitForLine(/I \| map\[\]$/);

    reader.signal("SIGINT");
    expect(await reader.exited).toEqual({ code: 0, signal: null });
    for (const { text } of [...reader.lines, ...writer.lines]) expect(text).toMatch(stamp);
  });

  it("forgets a server that was killed within its TTL and a second (R9, F22)", async () => {
    await using reader = startClient();
    await using writer = startServer("--ttl", String(TTL));
    await reader.waitForLine(`put key : ${prefix}node1`);
    // The full TTL counts from the last renewal.
    await writer.waitForLine("续约成功");
    const killedAt = performance.now();
    writer.signal("SIGKILL");
    const gone = await reader.waitForLine(`del key: ${prefix}node1`, { timeoutMs: (TTL + 5) * 1_000 });
    expect(gone.at - killedAt).toBeLessThan((TTL + 1) * 1_000);
  });

  it("registers once more, and once only, after it was frozen longer than its TTL (F20)", async () => {
    await using reader = startClient();
    await using writer = startServer("--ttl", String(TTL));
    await reader.waitForLine(`put key : ${prefix}node1`);
    // The reader may be first to hear of it.
    await writer.waitForLine("success!");
    await writer.freeze();
    const gone = await reader.waitForLine(`del key: ${prefix}node1`, { timeoutMs: (TTL + 3) * 1_000 });
    writer.thaw();
    await reader.waitForLine(`put key : ${prefix}node1`, { from: gone.index + 1, timeoutMs: 6_000 });
    await writer.waitForLine("registration lost");
    // Long enough for a second one to show.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const changes = reader.lines.filter(({ text }) => /(put|del) key/.test(text));
    expect(changes.map(({ text }) => text.replace(stamp, "").slice(0, 7))).toEqual([
      "put key",
      "del key",
      "put key",
    ]);
  });

  it("shows nothing when etcd restarts with its data", async () => {
    await using own = await EtcdProcess.start({ binary });
    endpoint = own.endpoint;
    await using reader = startClient();
    await using writer = startServer("--ttl", String(TTL));
    await reader.waitForLine(`put key : ${prefix}node1`);
    await own.kill();
    await reader.waitForLine("etcd cannot be heard");
    await own.restart();
    const heard = await reader.waitForLine("etcd is heard again");
    await new Promise((resolve) => setTimeout(resolve, (TTL + 2) * 1_000));
    expect(reader.lines.slice(heard.index).filter(({ text }) => /(put|del) key/.test(text))).toEqual([]);
    writer.signal("SIGTERM");
    expect((await writer.exited).code).toBe(0);
    reader.signal("SIGTERM");
    expect((await reader.exited).code).toBe(0);
    endpoint = etcd.endpoint;
  });

  it("says once that etcd is down at the start, and works when it comes", async () => {
    await using proxy = await FaultProxy.start({ target: etcd.endpoint });
    proxy.refuse();
    endpoint = proxy.endpoint;
    await using reader = startClient();
    await using writer = startServer();
    await Promise.all([reader, writer].map((app) => app.waitForLine("trying on")));
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    for (const app of [reader, writer]) expect(app.lines).toHaveLength(1);
    proxy.pass();
    await writer.waitForLine("success!");
    await reader.waitForLine(`put key : ${prefix}node1`);
    for (const app of [reader, writer]) {
      app.signal("SIGTERM");
      expect((await app.exited).code).toBe(0);
    }
    endpoint = etcd.endpoint;
  });

  it("starts from its cache without etcd, and tells the difference when it comes (D17)", async () => {
    await using folder = await temporaryFolder();
    const key = (id: string): string => `${prefix}${id}`;
    for (const id of ["a", "b"]) await etcd.ctl("put", key(id), "localhost:8000");
    await using proxy = await FaultProxy.start({ target: etcd.endpoint });
    endpoint = proxy.endpoint;
    await using before = startClient("--cache", folder.path);
    await before.waitForLine(`put key : ${key("b")}`);
    before.signal("SIGTERM");
    expect((await before.exited).code).toBe(0);
    proxy.refuse();
    await etcd.ctl("del", key("a"));
    await etcd.ctl("put", key("c"), "localhost:8001");
    await using reader = startClient("--cache", folder.path, "--every", "1");
    await reader.waitForLine(`map[${key("a")}:localhost:8000 ${key("b")}:localhost:8000]`);
    proxy.pass();
    await reader.waitForLine(`map[${key("b")}:localhost:8000 ${key("c")}:localhost:8001]`);
    const changes = reader.lines.filter(({ text }) => /(put|del) key/.test(text));
    expect(changes.map(({ text }) => text.replace(stamp, "").replace(/ val.*/, ""))).toEqual([
      `put key : ${key("a")}`,
      `put key : ${key("b")}`,
      `put key : ${key("c")}`,
      `del key: ${key("a")}`,
    ]);
    endpoint = etcd.endpoint;
  });

  it.each(["stdout", "both"])(
    "deregisters and ends with code 0 when the reader of its output has gone, as in `| head -1` (%s)",
    async (gone) => {
      const args = ["--key", `${prefix}node1`, "--value", "h:1", "--endpoints", endpoint];
      const writer = spawn(process.execPath, [server, ...args], { stdio: ["ignore", "pipe", "pipe"] });
      try {
        const ended = once(writer, "exit");
        const errors: string[] = [];
        writer.stderr.on("data", (chunk) => errors.push(String(chunk)));
        await once(writer.stdout, "data");
        expect(await etcd.ctl("get", "--keys-only", `${prefix}node1`)).toContain("node1");
        writer.stdout.destroy();
        if (gone === "both") writer.stderr.destroy();
        // Its next line is that of a renewal; the lease would last much longer than the way to the exit.
        expect(await ended).toEqual([0, null]);
        expect(await etcd.ctl("get", "--keys-only", `${prefix}node1`)).toBe("");
        expect(errors).toEqual([]);
      } finally {
        writer.kill("SIGKILL");
      }
    },
  );

  it("ends a client with code 0 when the reader of its output has gone", async () => {
    const args = ["--prefix", prefix, "--every", "1", "--endpoints", endpoint];
    const reader = spawn(process.execPath, [client, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const ended = once(reader, "exit");
      await once(reader.stdout, "data");
      reader.stdout.destroy();
      expect(await ended).toEqual([0, null]);
    } finally {
      reader.kill("SIGKILL");
    }
  });

  it("ends by a signal while etcd is down", async () => {
    await using proxy = await FaultProxy.start({ target: etcd.endpoint });
    proxy.refuse();
    endpoint = proxy.endpoint;
    await using reader = startClient();
    await using writer = startServer();
    for (const app of [reader, writer]) {
      await app.waitForLine("trying on");
      app.signal("SIGINT");
      expect(await app.exited).toEqual({ code: 0, signal: null });
    }
    endpoint = etcd.endpoint;
  });
});

describe("the command lines", () => {
  it.each([
    { app: "server", args: ["--foo"], line: /^Unknown option '--foo'/ },
    { app: "server", args: ["--key", "/a"], line: /^--value is required/ },
    { app: "server", args: ["--key", "a", "--value", "b", "--ttl", "4"], line: /^--ttl must be .* got "4"/ },
    {
      app: "server",
      args: ["--key", "a", "--value", "b", "--endpoints", "x y"],
      line: /endpoints.* got "x y"/,
    },
    { app: "server", args: ["extra"], line: /extra/ },
    { app: "client", args: ["--prefix", "/web"], line: /^prefix must be text that ends with \// },
    { app: "client", args: ["--every", "0"], line: /^--every must be/ },
    { app: "client", args: ["--prefix"], line: /prefix/ },
  ])("answer `$app $args` with one line and exit code 2", async ({ app, args, line }) => {
    await using child = startNode(app === "server" ? server : client, args);
    expect(await child.exited).toEqual({ code: 2, signal: null });
    expect(child.lines).toHaveLength(1);
    expect(child.lines[0]).toMatchObject({ stream: "stderr", text: expect.stringMatching(line) });
  });

  it.each([server, client])("explain themselves with --help", async (app) => {
    await using child = startNode(app, ["--help"]);
    expect((await child.exited).code).toBe(0);
    await eventually(() => child.lines.some(({ text }) => text.includes("--endpoints LIST")));
  });
});
