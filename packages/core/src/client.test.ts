import { leaseId, ManualClock, MemoryEtcd } from "@sd/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { liveTimers, settled } from "../test/observe.js";
import { createClient, type EtcdClient } from "./client.js";
import { deferred } from "./kit/deferred.js";

let clock: ManualClock;
let etcd: MemoryEtcd;
let client: EtcdClient;

beforeEach(() => {
  clock = new ManualClock();
  etcd = new MemoryEtcd({ clock });
  client = createClient({ transport: etcd.transport(), clock });
  return async () => {
    await client.close();
    await etcd.close();
    expect(clock.pending).toBe(0);
  };
});

const thing = () => ({ close: async () => {} });

describe("EtcdClient", () => {
  it("does no I/O before the first call", async () => {
    await clock.settle();
    expect(etcd.calls).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("closes what is attached first, and waits for it, then its streams and the transport", async () => {
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    const order: string[] = [];
    const slow = deferred<void>();
    client.attach({
      close: async () => {
        await slow.promise;
        order.push(lease.state.status);
        order.push((await lease.revoke()).confirmed ? "revoked" : "too late");
      },
    });
    const closing = settled(client.close());
    await clock.settle();
    expect([closing.status, client.isClosed, etcd.openStreams]).toEqual(["pending", true, 1]);
    slow.resolve();
    await clock.settle();
    expect(order).toEqual(["active", "revoked"]);
    expect(closing.status).toBe("resolved");
    expect([etcd.openStreams, etcd.leases.length]).toEqual([0, 0]);
    await expect(client.transport.revoke(leaseId(1n))).rejects.toMatchObject({ code: "SD_CLOSED" });
  });

  it("does not close what has left", async () => {
    const close = vi.fn(async () => {});
    client.attach({ close })[Symbol.dispose]();
    await client.close();
    expect(close).not.toHaveBeenCalled();
  });

  it("closes everything though something attached fails, later or at once", async () => {
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    const close = vi.fn(async () => {});
    client.attach({ close: () => Promise.reject(new Error("later")) });
    client.attach({
      close: () => {
        throw new Error("at once");
      },
    });
    client.attach({ close });
    await client.close();
    expect(close).toHaveBeenCalledTimes(1);
    expect([lease.state.status, etcd.openStreams]).toEqual(["released", 0]);
  });

  it("closes once: the same promise each time, and by disposal (D19)", async () => {
    const close = vi.fn(async () => {});
    client.attach({ close });
    const closing = client.close();
    expect(client.close()).toBe(closing);
    expect(client[Symbol.asyncDispose]()).toBe(closing);
    await closing;
    expect(close).toHaveBeenCalledTimes(1);
  });

  it("takes nothing in after close()", async () => {
    await client.close();
    expect(() => client.attach(thing())).toThrow(expect.objectContaining({ code: "SD_CLOSED" }));
  });

  it("holds the process while something is attached, not otherwise", async () => {
    const before = liveTimers();
    const [one, other] = [client.attach(thing()), client.attach(thing())];
    expect(liveTimers()).toBe(before + 1);
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    expect(liveTimers()).toBe(before + 1);
    other[Symbol.dispose]();
    expect(liveTimers()).toBe(before);
    client.attach(thing())[Symbol.dispose]();
    expect(liveTimers()).toBe(before);
  });

  it("lets the process end after close(), whatever stayed attached (D19)", async () => {
    const before = liveTimers();
    const attachment = client.attach(thing());
    await client.close();
    expect(liveTimers()).toBe(before);
    attachment[Symbol.dispose]();
    expect(liveTimers()).toBe(before);
  });
});

describe("createClient", () => {
  it("makes a client of its own for gRPC, without I/O", async () => {
    const grpc = createClient({ endpoints: ["http://127.0.0.1:1"] });
    expect(grpc.isClosed).toBe(false);
    await grpc.close();
  });

  it("refuses an option that cannot work", () => {
    expect(() => createClient({ endpoints: [] })).toThrow(
      expect.objectContaining({ code: "SD_INVALID_ARGUMENT" }),
    );
  });

  it.each<[string, unknown]>([
    ["an address in place of options", "http://root:s3cret@localhost:2379"],
    ["options in place of a transport", { transport: { endpoints: "a", auth: { password: "s3cret" } } }],
    ["options in place of a clock", { endpoints: "a", clock: { password: "s3cret" } }],
  ])("shows no secret that stands in a wrong place: %s", (_what, options) => {
    const attempt = (): unknown => createClient(options as never);
    expect(attempt).toThrow(expect.objectContaining({ code: "SD_INVALID_ARGUMENT" }));
    expect(attempt).not.toThrow("s3cret");
  });
});
