import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createClient, failureOf, type WatchResponse } from "@sd/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  eventually,
  leakCheck,
  leaseId,
  MemoryEtcd,
  type MemoryEtcdServer,
  serveMemoryEtcd,
} from "../src/index.js";
import { bytes, NO_END, put, range, text, watch } from "../src/memory/requests.fixture.js";
import { etcdctl } from "./etcdctl.js";
import { methods, RawClient } from "./raw-client.js";

let memory: MemoryEtcd;
let server: MemoryEtcdServer;

beforeEach(async () => {
  memory = new MemoryEtcd();
  server = await serveMemoryEtcd(memory);
});
afterEach(() => memory.close());

const ctl = (...args: string[]) => etcdctl(server.endpoint, args);
/** No double, and more than a JavaScript number can hold. */
const LEASE = leaseId(9_067_077_088_720_757n);
const hex = LEASE.toString(16).padStart(16, "0");

describe("etcdctl on MemoryEtcd", () => {
  it("puts, gets by prefix, deletes, and reads the past until it is compacted", async () => {
    for (const key of ["/a/1", "/a/2", "/b"]) await ctl("put", key, `value of ${key}`);
    expect(await ctl("get", "--prefix", "/a/")).toBe("/a/1\nvalue of /a/1\n/a/2\nvalue of /a/2\n");
    expect(
      await ctl("get", "", "--prefix", "--keys-only", "--limit=1", "--sort-by=MODIFY", "--order=DESCEND"),
    ).toBe("/b\n\n");
    expect(await ctl("del", "/a/1")).toBe("1\n");
    expect(await ctl("get", "/a/1", "--rev=2", "--print-value-only")).toBe("value of /a/1\n");
    expect(await ctl("compact", "5")).toBe("compacted revision 5\n");
    await expect(ctl("get", "/a/1", "--rev=2")).rejects.toThrow("required revision has been compacted");
    expect(memory.events).toHaveLength(4);
  });

  it("runs transactions", async () => {
    await ctl("put", "/a", "1");
    const input = 'value("/a") = "1"\nversion("/a") > "0"\n\nput /b new\nget /a\n\ndel /a\n\n';
    expect(await etcdctl(server.endpoint, ["txn"], { input })).toBe("SUCCESS\n\nOK\n\n/a\n1\n");
    expect(text(memory.get("/b")?.value ?? bytes(""))).toBe("new");
  });

  it("watches from the past on", async () => {
    memory.put("/a/1", "1");
    memory.put("/a/1", "2");
    memory.delete("/a/1");
    const args = ["watch", "--prefix", "/a/", "--rev=2", "--prev-kv"];
    const watching = etcdctl(server.endpoint, args, { endAfterMs: 1_500 });
    await eventually(() => expect(memory.openStreams).toBe(1));
    memory.put("/a/2", "live");
    const lines = (await watching).split("\n");
    const history = ["PUT", "/a/1", "1", "PUT", "/a/1", "1", "/a/1", "2", "DELETE", "/a/1", "2", "/a/1", ""];
    expect(lines.slice(0, -1)).toEqual([...history, "PUT", "/a/2", "live"]);
  });

  it("grants, asks for, renews and revokes leases, with ids to the last digit", async () => {
    await memory.transport().grant({ id: LEASE, ttlSeconds: 60 });
    await ctl("put", "/l", "x", `--lease=${hex}`);
    expect(memory.get("/l")?.lease).toBe(LEASE);
    expect(await ctl("lease", "timetolive", hex, "--keys")).toMatch(
      new RegExp(
        `^lease ${hex} granted with TTL\\(60s\\), remaining\\((59|60)s\\), attached keys\\(\\[/l\\]\\)`,
      ),
    );
    expect(await ctl("lease", "list")).toBe(`found 1 leases\n${hex}\n`);
    expect(await ctl("lease", "keep-alive", "--once", hex)).toBe(`lease ${hex} keepalived with TTL(60)\n`);
    expect(await ctl("lease", "revoke", hex)).toBe(`lease ${hex} revoked\n`);
    expect(memory.get("/l")).toBeUndefined();
    await expect(ctl("lease", "revoke", hex)).rejects.toThrow("requested lease not found");
    expect(await ctl("lease", "grant", "30")).toMatch(/^lease [0-9a-f]{16} granted with TTL\(30s\)\n$/);
  });

  it("locks, and tells status, members and alarms", async () => {
    expect(await ctl("lock", "mutex", "echo", "held")).toContain("held");
    // etcdctl 3.4 sends the whole endpoint as the authority, which Node's HTTP/2 refuses if it has a scheme.
    const address = server.endpoint.replace("http://", "");
    const status = await etcdctl(address, ["endpoint", "status", "--write-out=json"]);
    expect(status).toContain('"version":"3.5.30"');
    expect(await ctl("member", "list")).toContain(server.endpoint);
    memory.setFull(true);
    expect(await ctl("alarm", "list")).toMatch(/^memberID:\d+ alarm:NOSPACE \n$/);
    await expect(ctl("put", "/a", "")).rejects.toThrow("database space exceeded");
    await ctl("alarm", "disarm");
    await ctl("put", "/a", "");
  });
});

describe("the package etcd3 on MemoryEtcd", () => {
  it("reads, writes, watches, holds leases, locks and elects", async () => {
    // In a process of its own: with vitest's resolve conditions etcd3 rounds lease ids, on a real etcd too.
    const program = new URL("./etcd3-client.mjs", import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [program, server.endpoint]);
    const { lease, ...rest } = JSON.parse(stdout) as { lease: string };
    expect(rest).toEqual({
      read: { "/a/1": "one", "/a/2": "two" },
      seen: ["/a/1=one", "/a/2=two"],
      leases: [lease],
      leased: "x",
      afterRevoke: null,
      lockWhileHeld: "EtcdLockFailedError",
      leader: "me",
    });
    expect(BigInt(Number(lease))).not.toBe(BigInt(lease));
    expect(memory.leases).toEqual([]);
  });
});

describe("our own adapter on MemoryEtcd", () => {
  it("does what it does on etcd", async () => {
    const client = createClient({ endpoints: [server.endpoint] });
    const { transport } = client;
    expect(await transport.grant({ id: LEASE, ttlSeconds: 60 })).toMatchObject({ id: LEASE, ttlSeconds: 60 });
    const messages: WatchResponse[] = [];
    const stream = await transport.watch({ onMessage: (message) => messages.push(message), onEnd: () => {} });
    stream.send({ type: "create", watchId: 7, key: bytes("/a"), startRevision: 1 });
    const put = { type: "put", key: bytes("/a"), value: bytes("1"), lease: LEASE } as const;
    const { header } = await transport.txn({ compare: [], success: [put], failure: [] });
    expect(header).toEqual(memory.range({ key: bytes("/a") }).header);
    expect(header.clusterId > 2n ** 63n).toBe(true);
    await eventually(() =>
      expect(messages.flatMap(({ events }) => events)).toMatchObject([{ kv: { lease: LEASE } }]),
    );
    expect(
      await transport
        .revoke(LEASE)
        .then(() => transport.revoke(LEASE))
        .catch(failureOf),
    ).toBe("lease-not-found");
    await client.close();
  });
});

describe("serveMemoryEtcd", () => {
  let raw: RawClient;
  beforeEach(() => {
    raw = new RawClient(server.endpoint);
  });
  afterEach(() => raw.close());

  const get = () => raw.call(methods.KV.range, range({ key: "/a" }));

  it("cuts, refuses and freezes as the port does", async () => {
    const stream = raw.open(methods.Watch.watch);
    stream.send({ create: watch({ key: "/", rangeEnd: NO_END }) });
    await eventually(() => expect(stream.messages).toHaveLength(1));
    memory.cut();
    await eventually(() => expect(stream.end).toEqual({ code: 14, details: "read ECONNRESET" }));
    expect(memory.openStreams).toBe(0);
    memory.refuse();
    await expect(get()).rejects.toMatchObject({ code: 14 });
    memory.accept();
    memory.freeze();
    const frozen = get();
    const late = await Promise.race([frozen, new Promise((resolve) => setTimeout(resolve, 200, "late"))]);
    expect(late).toBe("late");
    memory.thaw();
    expect((await frozen).count).toBe(0);
  });

  it("answers that it is unavailable while it is dead, and keeps its port and data", async () => {
    memory.put("/a", "1");
    memory.kill();
    await expect(get()).rejects.toEqual({ code: 14, details: "connect ECONNREFUSED" });
    memory.restart();
    expect((await get()).count).toBe(1);
    expect(memory.calls).toEqual([]);
  });

  it("holds watch events back and lets them go", async () => {
    const stream = raw.open(methods.Watch.watch);
    stream.send({ create: watch({ key: "/", rangeEnd: NO_END }) });
    await eventually(() => expect(stream.messages).toHaveLength(1));
    memory.holdWatchEvents();
    memory.put("/a", "1");
    expect(memory.heldWatchMessages).toBe(1);
    memory.releaseWatchEvents();
    await eventually(() => expect(stream.messages).toHaveLength(2));
    stream.cancel();
  });

  it("drops single requests, and loses single answers", async () => {
    const write = () => raw.call(methods.KV.put, put("/a", "1"));
    memory.dropNextRequest("txn");
    await expect(write()).rejects.toEqual({ code: 14, details: "read ECONNRESET" });
    expect(memory.revision).toBe(1);
    memory.loseNextAnswer("txn");
    await expect(write()).rejects.toEqual({ code: 14, details: "read ECONNRESET" });
    expect(memory.revision).toBe(2);
    await write();
    memory.dropNextRequest("range");
    await expect(get()).rejects.toMatchObject({ code: 14 });
    expect((await get()).count).toBe(1);
  });

  it("drops single renewals and streams", async () => {
    await raw.call(methods.Lease.grant, { id: 5n, ttl: 10 });
    memory.dropNextRequest("keepAlive");
    const broken = raw.open(methods.Lease.keepAlive);
    await eventually(() => expect(broken.end).toMatchObject({ code: 14 }));
    const stream = raw.open(methods.Lease.keepAlive);
    memory.dropNextRequest("renew");
    memory.loseNextAnswer("renew");
    for (let sent = 0; sent < 3; sent += 1) stream.send({ id: 5n });
    await eventually(() => expect(stream.messages).toHaveLength(1));
    expect(stream.end).toBe(undefined);
    stream.cancel();
  });

  it("refuses what is too large in etcd's words, and what it does not have", async () => {
    const large = (size: number) => raw.call(methods.KV.put, put("/a", new Uint8Array(size)));
    await expect(large(1.6 * 2 ** 20)).rejects.toEqual({
      code: 3,
      details: "etcdserver: request is too large",
    });
    await expect(large(2.2 * 2 ** 20)).rejects.toMatchObject({
      code: 8,
      details: expect.stringMatching(/^grpc: received message larger than max \(\d+ vs\. 2097152\)$/),
    });
    await expect(
      raw.call({ ...methods.KV.put, path: "/etcdserverpb.KV/Move" }, put("/a")),
    ).rejects.toMatchObject({ code: 12 });
  });

  it("refuses a port that is taken, and an address that others can reach", async () => {
    await expect(serveMemoryEtcd(memory, { port: server.port })).rejects.toThrow("EADDRINUSE");
    await expect(serveMemoryEtcd(memory, { host: "0.0.0.0" })).rejects.toThrow(
      'host must be an address of this machine alone, unless allowRemote is set, got "0.0.0.0"',
    );
    await expect(serveMemoryEtcd(memory, { port: 70_000 })).rejects.toThrow(
      "port must be a whole number from 0 to 65535, got 70000",
    );
    await expect(serveMemoryEtcd(memory, { keepaliveMs: 0 })).rejects.toThrow("keepaliveMs must be");
    await memory.close();
    await expect(serveMemoryEtcd(memory)).rejects.toMatchObject({ code: "SD_CLOSED" });
  });

  it("leaves nothing open", async () => {
    using leaks = leakCheck();
    const other = new MemoryEtcd();
    const { endpoint } = await serveMemoryEtcd(other);
    const client = new RawClient(endpoint);
    client.open(methods.Lease.keepAlive).send({ id: 1n });
    await client.call(methods.Lease.grant, { id: 5n, ttl: 10 });
    await other.close();
    client.close();
    await leaks.assertClean({ withinMs: 5_000 });
  });
});
