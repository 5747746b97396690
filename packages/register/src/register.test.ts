import { type EtcdTransport, SdError, sleep, type TxnRequest } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { etcdError } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import { register, registerKey, startKeyRegistration, startRegistration } from "./register.js";

let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

const web = { service: "web", id: "node1", address: "localhost:8000", ttlSeconds: 5 };
const code = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no error",
    (error) => (SdError.is(error) ? error.code : error),
  );

describe("register()", () => {
  it("resolves once the key holds our value under our live lease (R1)", async () => {
    const registration = await bench.run(register(bench.client, web));
    const kv = bench.memory.get("/web/node1");
    expect(registration.key).toBe("/web/node1");
    expect(bench.textOf("/web/node1")).toBe("localhost:8000");
    expect(registration.state).toEqual({
      status: "registered",
      leaseId: kv?.lease,
      revision: kv?.modRevision,
    });
    expect(bench.memory.leases).toEqual([kv?.lease]);
  });

  it("is not resolved while the claim is unanswered", async () => {
    bench.memory.dropNextRequest("txn");
    const work = register(bench.client, web);
    await bench.clock.settle();
    expect(bench.textOf("/web/node1")).toBeUndefined();
    expect(await Promise.race([work, Promise.resolve("waiting")])).toBe("waiting");
    await bench.run(work, 1_000);
    expect(bench.textOf("/web/node1")).toBe("localhost:8000");
  });

  it("writes a record with more than an address as JSON", async () => {
    await bench.run(register(bench.client, { ...web, weight: 10, zone: "a", metadata: { team: "x" } }));
    expect(JSON.parse(bench.textOf("/web/node1") ?? "")).toEqual({
      address: "localhost:8000",
      weight: 10,
      zone: "a",
      metadata: { team: "x" },
    });
  });

  it("registers names and metadata that are traps elsewhere, and pollutes no prototype (F71)", async () => {
    const metadata = JSON.parse('{"__proto__":"x","constructor":"y"}');
    const names = { service: "__proto__", id: "constructor" };
    const registration = await bench.run(register(bench.client, { ...web, ...names, metadata }));
    const value = '{"address":"localhost:8000","metadata":{"__proto__":"x","constructor":"y"}}';
    expect(bench.textOf("/__proto__/constructor")).toBe(value);
    await bench.run(registration.update({ metadata: JSON.parse('{"__proto__":"z"}') }));
    expect(bench.textOf("/__proto__/constructor")).toContain('{"__proto__":"z"}');
    expect(({} as Record<string, unknown>)["address"]).toBe(undefined);
    expect(Object.prototype.constructor).toBe(Object);
  });

  it("asks etcd for the TTL that was given, and for 15 s by default", async () => {
    await bench.run(register(bench.client, web));
    await bench.run(register(bench.client, { service: "web", id: "node2", address: "localhost:8001" }));
    expect(bench.memory.callsOf("grant").map(({ request }) => request.ttlSeconds)).toEqual([5, 15]);
  });

  it("registers many on one client, with one stream of renewals and one of watches", async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `node${index}`);
    const work = ids.map((id) => register(bench.client, { ...web, id }));
    await bench.run(Promise.all(work));
    await bench.clock.advance(60_000);
    expect(bench.memory.openStreams).toBe(2);
    for (const id of ids) expect(bench.writes(`/web/${id}`)).toBe(1);
  });

  it("waits while etcd cannot be reached, and shows why", async () => {
    bench.memory.refuse();
    const registration = startRegistration(bench.client, web);
    await bench.clock.advance(60_000);
    expect(registration.state).toMatchObject({ status: "registering", error: { code: "SD_UNAVAILABLE" } });
    bench.memory.accept();
    await bench.run(registration.ready(), 5_000);
    expect(bench.textOf("/web/node1")).toBe("localhost:8000");
  });

  it("is closed by its signal: no key, no lease, and the signal's own reason", async () => {
    bench.memory.dropNextRequest("txn");
    const controller = new AbortController();
    const reason = new Error("enough");
    const work = register(bench.client, { ...web, signal: controller.signal });
    const outcome = code(work);
    await bench.clock.settle();
    controller.abort(reason);
    expect(await bench.run(outcome)).toBe(reason);
    await bench.clock.advance(60_000);
    expect(bench.history("/web/node1")).toEqual([]);
    expect(bench.memory.leases).toEqual([]);
    expect(bench.clock.pending).toBe(0);
  });

  it("does nothing for a signal that is aborted already", async () => {
    const signal = AbortSignal.abort("no");
    expect(await code(register(bench.client, { ...web, signal }))).toBe("no");
    await bench.clock.settle();
    expect(bench.memory.calls).toEqual([]);
  });

  it("lets the signal end the waiting only: a registration outlives it", async () => {
    const controller = new AbortController();
    const registration = await bench.run(register(bench.client, { ...web, signal: controller.signal }));
    controller.abort();
    await bench.clock.advance(20_000);
    expect(registration.state.status).toBe("registered");
  });

  it("refuses a closed client", async () => {
    await bench.client.close();
    expect(await code(register(bench.client, web))).toBe("SD_CLOSED");
  });
});

describe("register(): arguments", () => {
  const wrong: [name: string, options: object, says: string[]][] = [
    ["service", { service: "" }, ["service", '""']],
    ["id", { id: ".." }, ["id", ".."]],
    ["control character", { id: "a\nb" }, ["id", "control", "\\n"]],
    ["address", { address: "localhost" }, ["address", "host:port", '"localhost"']],
    ["port", { address: "localhost:70000" }, ["address", "65535", "localhost:70000"]],
    ["weight", { weight: -1 }, ["weight", "-1"]],
    ["metadata", { metadata: { a: 1 } }, ["metadata", "text", "1"]],
    ["ttlSeconds", { ttlSeconds: 4 }, ["ttlSeconds", "5", "minTtlSeconds", "got 4"]],
    ["fraction", { ttlSeconds: 5.5 }, ["ttlSeconds", "whole", "5.5"]],
    ["NaN", { ttlSeconds: Number.NaN }, ["ttlSeconds", "NaN"]],
    ["minTtlSeconds", { minTtlSeconds: 0 }, ["minTtlSeconds", "got 0"]],
    ["minTtlSeconds", { minTtlSeconds: 86_401 }, ["minTtlSeconds must be", "86400", "got 86401"]],
    ["onConflict", { onConflict: "steal" }, ["onConflict", "yield", '"steal"']],
    ["closeTimeoutMs", { closeTimeoutMs: 0 }, ["closeTimeoutMs", "got 0"]],
    ["endless close", { closeTimeoutMs: 60_001 }, ["closeTimeoutMs", "60000", "60001"]],
  ];
  it.each(wrong)("refuses a wrong %s before any I/O, with value and cure", async (_, options, says) => {
    const failure = await register(bench.client, { ...web, ...options }).catch((error: unknown) => error);
    expect(SdError.is(failure, "SD_INVALID_ARGUMENT")).toBe(true);
    for (const part of says) expect(String(failure)).toContain(part);
    await bench.clock.settle();
    expect(bench.memory.calls).toEqual([]);
    expect(bench.clock.pending).toBe(0);
  });

  it("accepts a shorter TTL when minTtlSeconds allows it", async () => {
    await bench.run(register(bench.client, { ...web, ttlSeconds: 2, minTtlSeconds: 2 }));
    expect(bench.memory.callsOf("grant")[0]?.request.ttlSeconds).toBe(2);
  });
});

describe("registerKey()", () => {
  it("registers any key and value, bytes included, and copies what it is given", async () => {
    const key = Uint8Array.of(0x2f, 0xff, 0x00);
    const value = Uint8Array.of(1, 2, 3);
    const work = registerKey(bench.client, { key, value });
    key.fill(9);
    value.fill(9);
    await bench.run(work);
    expect(bench.memory.get(Uint8Array.of(0x2f, 0xff, 0x00))?.value).toEqual(Uint8Array.of(1, 2, 3));
  });

  it("refuses an empty key and what is neither text nor bytes", async () => {
    expect(() => startKeyRegistration(bench.client, { key: "", value: "x" })).toThrow("key");
    const value = 5 as unknown as string;
    expect(() => startKeyRegistration(bench.client, { key: "/a", value })).toThrow("got 5");
    await bench.clock.settle();
    expect(bench.memory.calls).toEqual([]);
  });
});

describe("registrations of one client, a lease each", () => {
  const ids = Array.from({ length: 50 }, (_, index) => `${index}`);
  const registerEach = (client = bench.client) => ids.map((id) => register(client, { ...web, id }));
  const puts = (): number[] => bench.memory.callsOf("txn").map(({ request }) => request.success.length);

  /** Transactions take so long, and are refused where there is an error for them. */
  const slowly =
    (ms: number, refusal: (request: TxnRequest) => Error | undefined = () => undefined) =>
    (transport: EtcdTransport): Partial<EtcdTransport> => ({
      txn: async (request, options) => {
        await sleep(bench.clock, ms);
        const error = refusal(request);
        if (error) throw error;
        return transport.txn(request, options);
      },
    });

  it("share the transactions of their claims, if they begin together", async () => {
    await bench.run(Promise.all(registerEach()));
    expect(new Set(ids.map((id) => bench.memory.get(`/web/${id}`)?.lease)).size).toBe(50);
    expect(puts()).toEqual([1, 1, 1, 1, 46]);
  });

  it("do not wait for one whose key is another's (R2)", async () => {
    bench.memory.put("/web/7", "elsewhere:1");
    const all = registerEach();
    await bench.run(Promise.all(all.filter((_, index) => index !== 7)));
    expect(await Promise.race([all[7], "waiting"])).toBe("waiting");
    expect([bench.textOf("/web/7"), bench.clock.now()]).toEqual(["elsewhere:1", 0]);
  });

  it("do not lose theirs with one whose lease has ended", async () => {
    const expired: bigint[] = [];
    const wrap = (transport: EtcdTransport): Partial<EtcdTransport> => ({
      txn: (request, options) => {
        const [, second] = request.success;
        if (expired.length === 0 && second?.type === "put") {
          expired.push(second.lease);
          bench.memory.expireLease(second.lease);
        }
        return transport.txn(request, options);
      },
    });
    const client = bench.newClient({ wrap });
    await bench.run(Promise.all(registerEach(client)), 5_000);
    expect(expired).toHaveLength(1);
    expect(bench.memory.callsOf("grant")).toHaveLength(51);
  });

  it.each([
    ["all", 1],
    ["every third", 3],
  ])(
    "are back within a second and a few round trips where an operator revokes %s of their leases (R8)",
    async (_, nth) => {
      const client = bench.newClient({ wrap: slowly(20) });
      await bench.run(Promise.all(registerEach(client)), 5_000);
      await bench.clock.advance(2_000);
      const leases = bench.memory.leases.filter((_, index) => index % nth === 0);
      for (const id of leases) bench.memory.revokeLease(id);
      await bench.clock.advance(1_250);
      expect(ids.filter((id) => bench.memory.get(`/web/${id}`))).toHaveLength(50);
    },
  );

  it("do not wait for a great many that may not write", async () => {
    const client = bench.newClient({
      wrap: slowly(20, ({ success }) =>
        success.some((each) => each.type === "put" && `${Buffer.from(each.key)}`.startsWith("/denied/"))
          ? etcdError(7, "etcdserver: permission denied")
          : undefined,
      ),
    });
    for (let index = 0; index < 600; index += 1)
      startKeyRegistration(client, { key: `/denied/${index}`, value: "x" });
    await bench.clock.advance(1);
    await bench.run(registerKey(client, { key: "/allowed", value: "x" }), 500);
    await bench.run(client.close());
    await bench.clock.advance(20);
  });
});
