import { createClient, failureOf, SdError } from "@sd/core";
import { register, startKeyRegistration } from "@sd/register";
import { leakCheck, startEtcd } from "@sd/testing";
import "@sd/testing/vitest";
import { afterAll, describe, expect, it, vi } from "vitest";
import { leaseTime, newest, Pair } from "./pair.js";

const leaks = leakCheck();
afterAll(() => leaks.assertClean({ withinMs: 3_000 }));

const MIB = 2 ** 20;

describe.each(newest())("a registration and a discovery, at the limits of $name", ({ binary }) => {
  it("F60 no space: who is registered stays, who discovers sees deletions, and all can close", async () => {
    await using etcd = await startEtcd({ binary, args: [`--quota-backend-bytes=${16 * MIB}`] });
    await etcd.put("/web/node2", "localhost:8001");
    await using pair = await Pair.start(etcd);
    const before = await etcd.entries("/web/node1");
    let refusal: unknown;
    for (let index = 0; index < 30 && refusal === undefined; index += 1) {
      refusal = await etcd.put(`/fill/${index}`, "x".repeat(MIB)).then(
        () => undefined,
        (error: unknown) => error,
      );
    }
    expect(failureOf(refusal)).toBe("no-space");
    await leaseTime();
    await etcd.delete("/web/node2");
    await expect(pair.web).toConverge(["node1"]);
    expect(await etcd.entries("/web/node1")).toEqual(before);
    expect([pair.serverStates.statuses, pair.webStates.statuses]).toEqual([["registered"], ["live"]]);
    expect(await pair.server.close()).toMatchObject({ confirmed: true });
    await expect(pair.web).toConverge([]);
  });

  it("F62 F72 values of 1 MiB in one service, and 10,000 fields of metadata: listed, left out, nobody else suffers", async () => {
    await using etcd = await startEtcd({ binary });
    for (let index = 0; index < 5; index += 1) await etcd.put(`/web/large${index}`, "x".repeat(MIB));
    const metadata = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`f${index}`, "1"]));
    await etcd.put("/web/many", JSON.stringify({ address: "localhost:1", metadata }));
    await using pair = await Pair.start(etcd);
    expect(pair.web.snapshot.instances.map(({ id }) => id)).toEqual(["node1"]);
    expect(pair.web.rejected.size).toBe(6);
    const parse = vi.spyOn(JSON, "parse");
    await etcd.put("/web/large0", `{"address":"localhost:1","metadata":{"x":"${"x".repeat(MIB)}"}}`);
    await etcd.put("/web/node2", "localhost:8001");
    await expect(pair.web).toConverge(["node1", "node2"]);
    expect(
      parse.mock.calls.filter(([text]) => text.length > MIB),
      "refused before it is parsed",
    ).toEqual([]);
    parse.mockRestore();
    await leaseTime();
    expect([pair.serverStates.statuses, pair.webStates.statuses]).toEqual([["registered"], ["live"]]);
    expect(pair.changes).toBeConsistent();
  });

  it("F63 a request that is too large: refused before it is sent; by etcd, it is said, and others do not notice", async () => {
    await using etcd = await startEtcd({ binary });
    await using pair = await Pair.start(etcd);
    const revision = await etcd.revision();
    await using client = createClient(etcd);
    const metadata = Object.fromEntries(
      Array.from({ length: 64 }, (_, index) => [`f${index}`, "x".repeat(1_100)]),
    );
    const refused = await register(client, {
      service: "web",
      id: "large",
      address: "localhost:1",
      metadata,
    }).catch((error: unknown) => error);
    expect(SdError.is(refused, "SD_INVALID_ARGUMENT")).toBe(true);
    for (const size of [1.7 * MIB, 3 * MIB]) {
      const large = startKeyRegistration(client, {
        key: "/web/large",
        value: "x".repeat(size),
        ttlSeconds: 5,
      });
      await vi.waitFor(
        () => expect("error" in large.state && large.state.error).toBeInstanceOf(Error),
        5_000,
      );
      const { state } = large;
      expect(String("error" in state && state.error)).toMatch(/too large|larger than max/);
      await large.close();
    }
    await leaseTime();
    expect(await etcd.revision()).toBe(revision);
    expect([pair.serverStates.statuses, pair.changes.log]).toEqual([["registered"], []]);
  });
});
