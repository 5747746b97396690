import { Cancellation, type EtcdTransport, type LeaseId, SdError } from "@sd/core";
import { beforeEach, describe, expect, it } from "vitest";
import { etcdError } from "../test/faults.js";
import { Harness } from "../test/harness.js";
import { Doubts } from "./doubts.js";
import { type GuardedPut, Writes } from "./writes.js";

const LEASE = 7n as LeaseId;
const over = new Cancellation();

let bench: Harness;
let transport: EtcdTransport;
let refusal: (request: Parameters<EtcdTransport["txn"]>[0]) => Error | undefined;
let writes: Writes;
let doubts: Doubts;
beforeEach(async () => {
  bench = new Harness();
  transport = bench.memory.transport();
  await transport.grant({ id: LEASE, ttlSeconds: 60 });
  refusal = () => undefined;
  const txn: EtcdTransport["txn"] = async (request, options) => {
    const error = refusal(request);
    if (error) throw error;
    return transport.txn(request, options);
  };
  doubts = new Doubts();
  writes = new Writes({ ...transport, txn } as EtcdTransport, { over, doubts });
  return () => bench.end();
});

const put = (index: number, change: Partial<GuardedPut> = {}): GuardedPut => ({
  type: "put",
  key: Buffer.from(`/k/${index}`),
  value: Buffer.from("a"),
  lease: LEASE,
  guard: 0,
  ...change,
});
const putAll = (count: number) =>
  Promise.all(Array.from({ length: count }, (_, index) => writes.write(put(index), over)));
const txns = (): number => bench.memory.callsOf("txn").length;

describe("Writes", () => {
  it("puts what comes together into one transaction, as much as etcd takes", async () => {
    const answers = await putAll(300);
    expect(answers.every(({ isWritten }) => isWritten)).toBe(true);
    expect(bench.memory.callsOf("txn").map(({ request }) => request.success.length)).toEqual([128, 128, 44]);
  });

  it("keeps a transaction below the size that etcd takes", async () => {
    const value = Buffer.alloc(200 * 1024);
    await Promise.all([0, 1, 2, 3, 4].map((index) => writes.write(put(index, { value }), over)));
    expect(bench.memory.callsOf("txn").map(({ request }) => request.success.length)).toEqual([2, 2, 1]);
  });

  it("answers those whose guard does not hold, and writes the others without them (R2)", async () => {
    for (const index of [5, 9]) bench.memory.put(`/k/${index}`, "other");
    const answers = await putAll(100);
    expect(answers.filter(({ isWritten }) => isWritten)).toHaveLength(98);
    expect(answers[5]).toMatchObject({ isWritten: false, current: { modRevision: 2 } });
    expect(bench.textOf("/k/5")).toBe("other");
    expect(txns()).toBe(2);
  });

  it("finds the one that etcd refuses, and writes the others", async () => {
    const error = etcdError(7, "etcdserver: permission denied");
    const isRefused = (key: Uint8Array): boolean => Buffer.from(key).toString() === "/k/70";
    const sizes: number[] = [];
    refusal = ({ success }) => {
      sizes.push(success.length);
      return success.some((each) => each.type === "put" && isRefused(each.key)) ? error : undefined;
    };
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, index) => writes.write(put(index), over)),
    );
    const failed = results.flatMap(({ status }, index) => (status === "rejected" ? [index] : []));
    expect(failed).toEqual([70]);
    expect(sizes).toEqual([100, ...Array(7).fill(13), 9, ...Array(6).fill(2), 1, 1, 1]);
    expect(bench.textOf("/k/71")).toBe("a");
  });

  it("fails all together where parts would help nobody, and sends nothing twice", async () => {
    let sent = 0;
    refusal = () => {
      sent += 1;
      return etcdError(14, "connection lost");
    };
    const results = await Promise.allSettled(
      Array.from({ length: 100 }, (_, index) => writes.write(put(index), over)),
    );
    expect(results.every(({ status }) => status === "rejected")).toBe(true);
    expect(sent).toBe(1);
  });

  it("finds those under a lease that is gone: it is not the end of the others (R2)", async () => {
    const gone = 8n as LeaseId;
    const results = await Promise.allSettled(
      [LEASE, LEASE, gone, LEASE].map((lease, index) => writes.write(put(index, { lease }), over)),
    );
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
    expect(results[2]).toMatchObject({ reason: { code: "SD_LEASE_LOST" } });
  });

  it("does not send in parts those that are all under a lease that is gone", async () => {
    const results = await Promise.allSettled(
      [0, 1, 2].map((index) => writes.write(put(index, { lease: 8n as LeaseId }), over)),
    );
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(txns()).toBe(1);
  });

  it("does not send what was aborted before, and goes on without it", async () => {
    const abort = new Cancellation();
    const gone = writes.write(put(0), abort).catch((error: unknown) => error);
    const stays = writes.write(put(1), over);
    abort.abort("no more");
    expect(await gone).toBe("no more");
    expect((await stays).isWritten).toBe(true);
    expect(bench.textOf("/k/0")).toBeUndefined();
  });

  it("does not send again, in parts, what was aborted while all were under way (R9)", async () => {
    const abort = new Cancellation();
    refusal = ({ success }) => {
      if (success.length < 4) return undefined;
      abort.abort("no more");
      return etcdError(3, "etcdserver: too many operations in txn request");
    };
    const gone = writes.write(put(0), abort).catch((error: unknown) => error);
    await Promise.all([1, 2, 3].map((index) => writes.write(put(index), over)));
    expect(await gone).toBe("no more");
    expect(bench.textOf("/k/0")).toBeUndefined();
  });

  it("deletes what is under the lease, and nothing else (R3)", async () => {
    await putAll(2);
    bench.memory.put("/k/1", "other");
    const [mine, others, absent] = await Promise.all(
      [0, 1, 2].map((index) =>
        writes.write({ type: "delete", key: Buffer.from(`/k/${index}`), lease: LEASE }, over),
      ),
    );
    expect([mine?.isWritten, others?.isWritten, absent?.isWritten]).toEqual([true, false, false]);
    expect([bench.textOf("/k/0"), bench.textOf("/k/1")]).toEqual([undefined, "other"]);
  });

  it("knows of which keys a put may yet arrive", async () => {
    const key = Buffer.from("/k/0");
    const guards = () => [...doubts.of(key, LEASE)];
    const work = writes.write(put(0), over);
    expect(guards(), "not sent yet").toEqual([]);
    await Promise.resolve();
    await Promise.resolve();
    expect(guards(), "under way").toEqual([0]);
    await work;
    expect(guards(), "answered").toEqual([]);
    refusal = () => etcdError(7, "etcdserver: permission denied");
    await writes.write(put(0), over).catch(() => {});
    expect(guards(), "refused").toEqual([]);
    refusal = () => etcdError(4, "deadline exceeded");
    await writes.write(put(0), over).catch(() => {});
    refusal = () => undefined;
    await writes.write(put(0), over);
    expect(guards(), "in doubt, whatever came after").toEqual([0]);
    expect([...doubts.of(key, 8n as LeaseId)]).toEqual([]);
    refusal = () => etcdError(4, "deadline exceeded");
    for (const guard of [2, 5]) await writes.write(put(0, { guard }), over).catch(() => {});
    expect(guards(), "no revision of before the one that was seen").toEqual([0, 5]);
  });

  it("leaves in doubt what is told in an answer that cannot be read", async () => {
    const error = new SdError("SD_INVARIANT", "answer of etcd cannot be read");
    const txn: EtcdTransport["txn"] = async (request, options) => {
      const answer = await transport.txn(request, options);
      const broken = {
        ...{ header: answer.header, more: false, count: 1 },
        // As of a real etcd: what is broken within one is seen when it is looked at.
        get kvs(): never {
          throw error;
        },
      };
      return { ...answer, ranges: request.success.map(() => broken) };
    };
    writes = new Writes({ ...transport, txn } as EtcdTransport, { over, doubts });
    await expect(writes.write(put(0), over)).rejects.toBe(error);
    expect([...doubts.of(put(0).key, LEASE)]).toEqual([0]);
  });

  it("does not repeat without end what an etcd refuses that shows that all guards hold", async () => {
    let sent = 0;
    const txn: EtcdTransport["txn"] = async ({ failure }) => {
      sent += 1;
      if (sent > 5) throw new Error("sent again and again");
      const header = { clusterId: 1n, memberId: 1n, revision: 5, raftTerm: 1n };
      return {
        succeeded: false,
        header,
        ranges: failure.map(() => ({ header, kvs: [], more: false, count: 0 })),
      };
    };
    writes = new Writes({ ...transport, txn } as EtcdTransport, { over, doubts });
    await expect(putAll(3)).rejects.toMatchObject({ code: "SD_INVARIANT" });
    expect(sent).toBe(1);
  });
});
