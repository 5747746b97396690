import { createServer } from "node:net";
import { createClient, prefixRange, Reflector, type Store } from "@sd/core";
import { EtcdProcess, etcdBinaries, eventually } from "@sd/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { registerKey } from "../src/index.js";

describe.each(etcdBinaries())("a cluster of three, on $name", ({ binary }) => {
  let members: EtcdProcess[];
  let endpoints: string[];

  beforeAll(async () => {
    members = await startCluster(binary);
    endpoints = members.map(({ endpoint }) => endpoint);
  });
  afterAll(() => Promise.all(members.map((member) => member[Symbol.asyncDispose]())));
  afterEach(async () => {
    for (const member of members) {
      member.thaw();
      if (!member.isRunning) await member.restart();
    }
  });

  it("keeps a registration without a write when its leader is killed (R14, T5, F10)", async () => {
    await using client = createClient({ endpoints });
    await using registration = await registerKey(client, { key: "/c/kill", value: "a:1", ttlSeconds: 5 });
    const leader = await findLeader(members);
    const [survivor] = members.filter((member) => member !== leader);
    const before = await survivor?.ctl("get", "/c/kill", "-w", "fields");
    await leader.kill();
    await pause(9_000);
    expect(registration.state.status).toBe("registered");
    const after = await survivor?.ctl("get", "/c/kill", "-w", "fields");
    expect(kvOf(after)).toEqual(kvOf(before));
  });

  it("keeps a registration while a member is frozen, whichever it is on (R16, T5, F12)", async () => {
    await using client = createClient({ endpoints });
    await using registration = await registerKey(client, { key: "/c/freeze", value: "a:1", ttlSeconds: 15 });
    const states: string[] = [];
    registration.subscribe(({ status }) => states.push(status));
    for (const member of members) {
      await member.freeze();
      await pause(8_000);
      member.thaw();
      await pause(1_000);
    }
    expect(states).toEqual([]);
  });

  it("notices a member that has lost the others, by its watch (T4, F13)", async () => {
    const [isolated, ...others] = members as [EtcdProcess, ...EtcdProcess[]];
    await using client = createClient({ endpoints: [isolated.endpoint] });
    const store: Store = {
      size: 0,
      revisionOf: () => undefined,
      replace() {},
      apply: () => true,
      bookmark() {},
    };
    await using reflector = new Reflector(client, { range: prefixRange(Buffer.from("/c/")), store });
    await eventually(() => reflector.state.status === "live");
    await Promise.all(others.map((other) => other.freeze()));
    // The member still answers on the stream; only the missing leader ends it.
    await eventually(() => reflector.state.status === "stale", { timeoutMs: 10_000 });
    expect(reflector.state).toMatchObject({ error: { cause: { kind: "no-leader" } } });
    for (const other of others) other.thaw();
    await eventually(() => reflector.state.status === "live", { timeoutMs: 15_000 });
  });
});

/** Three members that know each other; etcd takes the last of a flag that is given twice. */
async function startCluster(binary: string): Promise<EtcdProcess[]> {
  const ports = await freePorts(3);
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const cluster = urls.map((url, index) => `m${index}=${url}`).join(",");
  return Promise.all(
    urls.map((url, index) =>
      EtcdProcess.start({
        binary,
        args: [
          `--name=m${index}`,
          `--listen-peer-urls=${url}`,
          `--initial-advertise-peer-urls=${url}`,
          `--initial-cluster=${cluster}`,
          `--initial-cluster-token=${ports.join("-")}`,
        ],
      }),
    ),
  );
}

async function findLeader(members: readonly EtcdProcess[]): Promise<EtcdProcess> {
  for (const member of members) {
    const [{ Status }] = JSON.parse(await member.ctl("endpoint", "status", "-w", "json"));
    if (Status.leader === Status.header.member_id) return member;
  }
  throw new Error("no member leads");
}

/** What `etcdctl -w fields` says of the key, without the header. */
function kvOf(fields = ""): string[] {
  return fields
    .split("\n")
    .filter((line) => /"(Key|Value|Lease|Version|\w+Revision)" :/.test(line) && !/^"Revision"/.test(line));
}

function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  return Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.once("listening", () => {
            const address = server.address();
            const port = typeof address === "object" && address ? address.port : 0;
            server.close(() => resolve(port));
          });
        }),
    ),
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
