import { ManualClock, MemoryEtcd } from "@sd/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { bytes, settled, text } from "../../test/observe.js";
import { failure } from "../../test/scripted-transport.js";
import { unsent } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { TxnRequest } from "../etcd/types.js";
import { Cancellation } from "../kit/cancellation.js";
import { FirstPages } from "./first-pages.js";
import { prefixRange } from "./key-range.js";

let clock: ManualClock;
let etcd: MemoryEtcd;

beforeEach(() => {
  clock = new ManualClock();
  etcd = new MemoryEtcd({ clock });
  return () => etcd.close();
});

/** Asks for so many services in one turn, as lists do; gives the keys that each was told, or its error. */
async function ask(pages: FirstPages, count: number, limit = 1_000): Promise<unknown[]> {
  const asked = Array.from({ length: count }, (_, index) =>
    pages.range({ ...prefixRange(bytes(`/${index}/`)), limit }).then(
      ({ kvs }) => kvs.map(({ key }) => text(key)).join(),
      (error) => error,
    ),
  );
  return Promise.all(asked);
}

/** How many ranges each call had: 1 for one by itself. */
const calls = (): number[] =>
  etcd.calls.flatMap((call) => {
    if (call.verb === "range") return [1];
    return call.verb === "txn" ? [(call.request as TxnRequest).success.length] : [];
  });

function withTxn(txn: EtcdTransport["txn"]): FirstPages {
  return new FirstPages(Object.assign(etcd.transport(), { txn }));
}

describe("FirstPages", () => {
  it("reads a range by itself where no other is asked for in the same turn", async () => {
    etcd.put("/0/a", "x");
    const pages = new FirstPages(etcd.transport());
    expect(await ask(pages, 1)).toEqual(["/0/a"]);
    expect(await ask(pages, 1)).toEqual(["/0/a"]);
    expect(calls()).toEqual([1, 1]);
  });

  it("reads those of one turn together: a few, then as many as etcd takes", async () => {
    for (let index = 0; index < 300; index += 1) etcd.put(`/${index}/a`, "x");
    const pages = new FirstPages(etcd.transport());
    expect(await ask(pages, 300)).toEqual(Array.from({ length: 300 }, (_, index) => `/${index}/a`));
    expect(calls()).toEqual([16, 128, 128, 28]);
  });

  it("gives each the header of the transaction, and tells that there is more (D5)", async () => {
    for (let index = 0; index < 65; index += 1) etcd.put(`/0/${index}`, "x");
    const pages = new FirstPages(etcd.transport());
    const [large, small] = await Promise.all(
      [prefixRange(bytes("/0/")), { ...prefixRange(bytes("/1/")), limit: 1 }].map((range) =>
        pages.range(range),
      ),
    );
    expect(large).toMatchObject({ more: true, count: 65, header: { revision: etcd.revision } });
    expect(large?.kvs).toHaveLength(64);
    expect(large?.header.clusterId).not.toBe(0n);
    expect(small).toMatchObject({ kvs: [], more: false });
    const { request } = etcd.callsOf("txn")[0] as { request: TxnRequest };
    expect(request.success.map((operation) => operation.type === "range" && operation.range.limit)).toEqual([
      64, 1,
    ]);
    expect(request.success.some((operation) => operation.type === "range" && operation.range.revision)).toBe(
      false,
    );
  });

  it.each(["permission", "invalid", "too-large"] as const)(
    "reads one by one what is left when etcd refuses a transaction: %s",
    async (kind) => {
      for (let index = 0; index < 20; index += 1) etcd.put(`/${index}/a`, "x");
      let refused = 0;
      const pages = withTxn(async () => {
        refused += 1;
        throw failure(kind);
      });
      expect(await ask(pages, 20)).toEqual(Array.from({ length: 20 }, (_, index) => `/${index}/a`));
      expect([refused, calls()]).toEqual([1, Array(20).fill(1)]);
    },
  );

  it("fails those whose transaction was lost, and reads the others", async () => {
    const error = failure("network");
    const { txn } = etcd.transport();
    let calls = 0;
    const pages = withTxn(async (...args) => {
      calls += 1;
      if (calls === 1) throw error;
      return txn.apply(etcd.transport(), args);
    });
    expect(await ask(pages, 20)).toEqual([...Array(16).fill(error), ...Array(4).fill("")]);
  });

  it.each(["network", "timeout"] as const)(
    "tells all at once that nobody can be reached: %s (D17)",
    async (kind) => {
      const error = unsent(failure(kind));
      let calls = 0;
      const pages = withTxn(() => {
        calls += 1;
        return Promise.reject(error);
      });
      expect(await ask(pages, 300)).toEqual(Array(300).fill(error));
      expect(calls).toBe(1);
    },
  );

  it("tells those of a transaction that was not answered in time, and reads the others one by one", async () => {
    const error = failure("timeout");
    const pages = withTxn(() => Promise.reject(error));
    expect(await ask(pages, 20)).toEqual([...Array(16).fill(error), ...Array(4).fill("")]);
    expect(calls()).toEqual(Array(4).fill(1));
  });

  it("takes nobody for empty whom etcd did not answer (D11)", async () => {
    const { txn } = etcd.transport();
    const pages = withTxn(async (...args) => {
      const answer = await txn.apply(etcd.transport(), args);
      return { ...answer, ranges: answer.ranges.slice(1) };
    });
    const refusal = expect.objectContaining({ code: "SD_INVARIANT" });
    expect(await ask(pages, 3)).toEqual([refusal, refusal, refusal]);
  });

  it("lets go of one that is cancelled, and reads the others", async () => {
    etcd.put("/1/a", "x");
    etcd.freeze();
    const cancellation = new Cancellation();
    const pages = new FirstPages(etcd.transport());
    const left = settled(pages.range(prefixRange(bytes("/0/")), cancellation));
    const others = ask(pages, 2);
    cancellation.abort("stop");
    await clock.settle();
    expect(left).toMatchObject({ status: "rejected", reason: "stop" });
    etcd.thaw();
    expect(await others).toEqual(["", "/1/a"]);
    expect(calls()).toEqual([2]);
  });

  it("lets go of one that is cancelled while the transaction is on its way, or was before", async () => {
    etcd.freeze();
    const [cancellation, before] = [new Cancellation(), new Cancellation()];
    before.abort("before");
    const pages = new FirstPages(etcd.transport());
    const left = [cancellation, before].map((each) => settled(pages.range(prefixRange(bytes("/0/")), each)));
    const others = ask(pages, 2);
    await clock.settle();
    cancellation.abort("stop");
    await clock.settle();
    expect(left).toMatchObject([{ reason: "stop" }, { reason: "before" }]);
    etcd.thaw();
    expect(await others).toEqual(["", ""]);
    expect(calls()).toEqual([3]);
  });

  it.each([undefined, failure("network"), failure("permission")])(
    "leaves no listener on what may cancel a list that is over: %s",
    async (error) => {
      const { txn } = etcd.transport();
      const pages = withTxn(async (...args) => {
        if (error) throw error;
        return txn.apply(etcd.transport(), args);
      });
      const cancellation = new Cancellation();
      const listeners = new Set<() => void>();
      vi.spyOn(cancellation, "onAbort").mockImplementation((listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      });
      const asked = [1, 2].map((index) => pages.range(prefixRange(bytes(`/${index}/`)), cancellation));
      expect(listeners.size).toBe(2);
      await Promise.allSettled(asked);
      expect(listeners.size).toBe(0);
    },
  );
});
