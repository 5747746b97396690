import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually, MemoryEtcd, type MemoryEtcdServer, serveMemoryEtcd } from "../src/index.js";
import { etcdctl, type RunningEtcdctl, startEtcdctl } from "./etcdctl.js";

let memory: MemoryEtcd;
let server: MemoryEtcdServer;
const running: RunningEtcdctl[] = [];

beforeEach(async () => {
  memory = new MemoryEtcd();
  server = await serveMemoryEtcd(memory);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.interrupt()));
  await memory.close();
});

function start(...args: string[]): RunningEtcdctl {
  const started = startEtcdctl(server.endpoint, args);
  running.push(started);
  return started;
}

/** How many hold, or wait for, the lock or the lead of this name. */
const holds = (name: string): number =>
  memory.range({ key: Buffer.from(`${name}/`), rangeEnd: Buffer.from(`${name}0`), countOnly: true }).count;

// etcdctl brings its own locks and elections, of keys, leases and watches: no service of etcd's is asked for them.
describe("etcdctl on MemoryEtcd", () => {
  it("hands a lock from one that held it to the one that waited", async () => {
    const holder = start("lock", "mutex");
    await eventually(() => expect(holder.output).toMatch(/^mutex\/[0-9a-f]+\s+$/));
    const waiting = etcdctl(server.endpoint, ["lock", "mutex", "echo", "mine"]);
    await eventually(() => expect(memory.leases).toHaveLength(2));
    await eventually(() => expect(memory.openStreams).toBeGreaterThanOrEqual(3));
    await holder.interrupt();
    expect(await waiting).toBe("mine\n");
    expect(holds("mutex")).toBe(0);
  });

  it("passes the lead on, and tells observers of it", async () => {
    const observer = start("elect", "--listen", "chair");
    const one = start("elect", "chair", "one");
    await eventually(() => expect(one.output).toContain("one"));
    await eventually(() => expect(observer.output).toMatch(/^chair\/[0-9a-f]+\none\n$/));
    const other = start("elect", "chair", "other");
    await eventually(() => expect(holds("chair")).toBe(2));
    expect(other.output).toBe("");
    await one.interrupt();
    await eventually(() => expect(other.output).toContain("other"));
    await eventually(() => expect(observer.output).toMatch(/\none\nchair\/[0-9a-f]+\nother\n$/));
  });
});

describe("two clients of the package etcd3 on MemoryEtcd", () => {
  it("hold a lock and lead one after the other", async () => {
    const program = new URL("./etcd3-elections.mjs", import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [program, server.endpoint]);
    expect(JSON.parse(stdout)).toEqual([
      "one holds the lock",
      "EtcdLockFailedError",
      "the other holds the lock",
      "leader: one",
      "leader: the other",
      "now leads: the other",
    ]);
    await eventually(() => expect(memory.leases).toEqual([]));
  });
});
