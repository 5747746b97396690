import {
  type EtcdTransport,
  failureOf,
  isNotApplied,
  type KeepAliveResponse,
  type Operation,
  type WatchRequest,
  type WatchResponse,
} from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../clock/manual-clock.js";
import { leaseId } from "./lease-id.js";
import { MemoryEtcd } from "./memory-etcd.js";
import { bytes } from "./requests.fixture.js";

const ann = { username: "ann", password: "s3cret" };
const LEASE = leaseId(7n);

let clock: ManualClock;
let etcd: MemoryEtcd;
let client: EtcdTransport;

beforeEach(() => {
  clock = new ManualClock();
  etcd = new MemoryEtcd({ clock });
  etcd.auth.addRole("web", { access: "readWrite", prefix: "/web/" });
  etcd.auth.addUser("ann", { password: "s3cret", roles: ["web"] });
  client = etcd.transport({ auth: ann });
  return async () => {
    await etcd.close();
    expect(clock.pending).toBe(0);
    expect(etcd.openStreams).toBe(0);
  };
});

const read = (key = "/web/a", by = client) => by.range({ key: bytes(key) });
const write = (key: string) => {
  const put: Operation = { type: "put", key: bytes(key), value: bytes(""), lease: LEASE };
  return client.txn({ compare: [], success: [put], failure: [] });
};
const kindOf = (work: Promise<unknown>) => work.then(() => "no error", failureOf);
const logins = () => etcd.callsOf("authenticate").length;
const createWatch = (watchId: number, key = "/web/a"): WatchRequest => ({
  type: "create",
  watchId,
  key: bytes(key),
  startRevision: 1,
});

async function openWatch() {
  const messages: WatchResponse[] = [];
  const ends: unknown[] = [];
  const stream = await client.watch({
    onMessage: (message) => messages.push(message),
    onEnd: (error) => ends.push(failureOf(error)),
  });
  return { stream, messages, ends };
}

async function openRenewals() {
  const messages: KeepAliveResponse[] = [];
  const ends: unknown[] = [];
  const stream = await client.keepAlive({
    onMessage: (message) => messages.push(message),
    onEnd: (error) => ends.push(failureOf(error)),
  });
  return { stream, messages, ends };
}

describe("a client of MemoryEtcd with name and password", () => {
  it("goes on without a token while authentication is off, and authenticates once it is on (R18, F51)", async () => {
    await read();
    await read("/elsewhere");
    expect(logins()).toBe(1);
    etcd.auth.enable();
    await read();
    expect(logins()).toBe(2);
    expect(await kindOf(read("/elsewhere"))).toBe("permission");
    etcd.auth.disable();
    await read("/elsewhere");
  });

  it("is told that a stream from before wants a token, not that its owner has no right (R18, F51)", async () => {
    const { stream, ends } = await openRenewals();
    await client.grant({ id: LEASE, ttlSeconds: 60 });
    etcd.auth.enable();
    stream.send({ id: LEASE });
    await clock.settle();
    expect(ends).toEqual(["token"]);
  });

  it("asks for one token for a thousand calls, at first and after its end (R18)", async () => {
    etcd.auth.enable();
    const thousand = () => Promise.all(Array.from({ length: 1_000 }, () => read()));
    await thousand();
    expect(logins()).toBe(1);
    etcd.expireTokens();
    await thousand();
    expect(logins()).toBe(2);
  });

  it("needs a new token after 300 s without a call, and none as long as it calls (F50)", async () => {
    etcd.auth.enable();
    await read();
    for (let minutes = 0; minutes < 20; minutes += 1) {
      await clock.advance(299_999);
      await read();
    }
    expect(logins()).toBe(1);
    await clock.advance(300_000);
    await read();
    expect(logins()).toBe(2);
  });

  it("needs a token that lasts: at least some time", () => {
    for (const authTokenTtlSeconds of [0, -1, Number.NaN]) {
      expect(() => new MemoryEtcd({ authTokenTtlSeconds })).toThrow(
        "authTokenTtlSeconds must be a number above 0",
      );
    }
  });

  it("cannot do what it may not, with `permission` as the failure (F52)", async () => {
    etcd.auth.enable();
    await client.grant({ id: LEASE, ttlSeconds: 60 });
    await write("/web/a");
    expect(await kindOf(write("/api/a"))).toBe("permission");
    etcd.auth.forbid("web", { prefix: "/web/" });
    expect(await kindOf(read())).toBe("permission");
    expect(await kindOf(client.revoke(LEASE))).toBe("permission");
    etcd.auth.allow("web", { access: "write", key: "/web/a" });
    expect(await kindOf(read())).toBe("permission");
    await client.revoke(LEASE);
  });

  it("is refused with a wrong password, and without one, as an operator's case", async () => {
    etcd.auth.enable();
    const wrong = etcd.transport({ auth: { ...ann, password: "wr0ng" } });
    const error = await read("/web/a", wrong).catch((reason: unknown) => reason);
    expect([failureOf(error), isNotApplied(error)]).toEqual(["auth", true]);
    expect(String((error as Error).stack)).not.toContain("wr0ng");
    expect(await kindOf(read("/web/a", etcd.transport()))).toBe("auth");
    expect(JSON.stringify(etcd.calls)).not.toMatch(/s3cret|wr0ng/);
  });

  it("asks again when the request for a token, or its answer, was lost", async () => {
    etcd.auth.enable();
    etcd.dropNextRequest("authenticate");
    expect(await kindOf(read())).toBe("network");
    etcd.loseNextAnswer("authenticate");
    expect(await kindOf(read())).toBe("network");
    await read();
    expect(logins()).toBe(3);
  });

  it("repeats a call that a change of users or roles has overtaken", async () => {
    etcd.auth.enable();
    await read();
    etcd.auth.overtakeNextRequest();
    await read();
    expect(logins()).toBe(2);
  });

  it("loses its token when etcd restarts, its password is changed, or it is removed", async () => {
    etcd.auth.enable();
    await read();
    etcd.kill();
    etcd.restart();
    await read();
    expect(logins()).toBe(2);
    etcd.auth.changePassword("ann", "other");
    expect(await kindOf(read())).toBe("auth");
    etcd.auth.changePassword("ann", "s3cret");
    await read();
    etcd.auth.removeUser("ann");
    expect(await kindOf(read())).toBe("auth");
  });

  it("is nobody's guest in an etcd that was wiped: it knows no users", async () => {
    etcd.auth.enable();
    await read();
    etcd.wipe();
    await read("/elsewhere");
    expect([etcd.auth.isEnabled, etcd.auth.revision]).toEqual([false, 1]);
  });
});

describe("a stream of MemoryEtcd, with a token that has ended", () => {
  beforeEach(() => etcd.auth.enable());

  it("goes on with its watches, and ends when another is asked for (F50)", async () => {
    const first = await openWatch();
    first.stream.send(createWatch(1));
    await clock.settle();
    etcd.expireTokens();
    etcd.put("/web/a", "1");
    await clock.settle();
    expect(first.messages.flatMap(({ events }) => events)).toHaveLength(1);
    first.stream.send(createWatch(2));
    await clock.settle();
    expect(first.ends).toEqual(["token"]);
    const second = await openWatch();
    second.stream.send(createWatch(1));
    await clock.settle();
    expect([second.ends, second.messages.length, logins()]).toEqual([[], 2, 2]);
  });

  it("tells of a watch that is not permitted, and stays", async () => {
    const { stream, messages, ends } = await openWatch();
    stream.send(createWatch(1, "/api/a"));
    await clock.settle();
    const reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    expect(messages).toMatchObject([{ watchId: -1, created: true, canceled: true, cancelReason: reason }]);
    expect(ends).toEqual([]);
  });

  it("renews on an etcd before 3.5.28, and ends on a newer one", async () => {
    await client.grant({ id: LEASE, ttlSeconds: 60 });
    await write("/web/a");
    const { stream, messages, ends } = await openRenewals();
    etcd.behave({ auth: "3.5.16" });
    etcd.expireTokens();
    stream.send({ id: LEASE });
    await clock.settle();
    expect([messages.length, ends]).toEqual([1, []]);
    etcd.behave({ auth: "3.5.30" });
    stream.send({ id: LEASE });
    await clock.settle();
    expect([messages.length, ends]).toEqual([1, ["token"]]);
    const again = await openRenewals();
    again.stream.send({ id: LEASE });
    await clock.settle();
    expect(again.messages).toMatchObject([{ ttlSeconds: 60 }]);
    etcd.auth.forbid("web", { prefix: "/web/" });
    again.stream.send({ id: LEASE });
    await clock.settle();
    expect(again.ends).toEqual(["permission"]);
  });

  it("is refused when its transport is closed, and is nothing that keeps it open", async () => {
    const { ends } = await openWatch();
    etcd.expireTokens();
    await read();
    await client.close();
    await clock.settle();
    expect(ends).toHaveLength(1);
    await expect(read()).rejects.toMatchObject({ code: "SD_CLOSED" });
    await expect(openWatch()).rejects.toMatchObject({ code: "SD_CLOSED" });
  });
});
