import { ManualClock, MemoryEtcd } from "@sd/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { bytes, settled, text } from "../../test/observe.js";
import { failure } from "../../test/scripted-transport.js";
import { unsent } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { Header, KeyValue, RangeRequest, RangeResponse } from "../etcd/types.js";
import { Cancellation } from "../kit/cancellation.js";
import { prefixRange } from "./key-range.js";
import { listRange, type Slice } from "./list.js";
import { PageSize } from "./page-size.js";

const range = prefixRange(bytes("/web/"));
let clock: ManualClock;
let etcd: MemoryEtcd;

beforeEach(() => {
  clock = new ManualClock();
  etcd = new MemoryEtcd({ clock });
  pages = new PageSize();
  return async () => {
    await etcd.close();
    expect(clock.pending).toBe(0);
  };
});

/** A transport that calls `before` ahead of each page. */
function paged(before: (request: RangeRequest, page: number) => unknown): EtcdTransport {
  const transport = etcd.transport();
  let page = 0;
  const read = transport.range.bind(transport);
  return Object.assign(transport, {
    range: async (...args: Parameters<typeof read>): Promise<RangeResponse> => {
      page += 1;
      await before(args[0], page);
      return read(...args);
    },
  });
}

let pages: PageSize;
async function list(
  transport: EtcdTransport,
  cancellation = new Cancellation(),
): Promise<{ kvs: KeyValue[]; header: Header | undefined }> {
  const kvs: KeyValue[] = [];
  let header: Header | undefined;
  const take = (slice: Slice): boolean => {
    kvs.push(...slice.kvs);
    header = slice.header;
    return true;
  };
  expect(await listRange(transport, range, { clock, pages, take, cancellation })).toBe(true);
  return { kvs, header };
}

const fill = (count: number): void => {
  for (let i = 0; i < count; i += 1) etcd.put(`/web/${String(i).padStart(5, "0")}`, "old");
};

describe("listRange", () => {
  it("reads all pages at the revision of the first, whatever is written meanwhile (D5)", async () => {
    fill(20_001);
    const revision = etcd.revision;
    const transport = paged((_request, page) => {
      etcd.put("/web/00000", `new ${page}`);
      etcd.put(`/web/2${page}`, "new");
      etcd.delete("/web/20000");
    });
    const { kvs, header } = await list(transport);
    // The first page sees what came before it.
    expect(header?.revision).toBe(revision + 3);
    expect(kvs).toHaveLength(20_001);
    expect(new Set(kvs.map(({ key }) => text(key))).size).toBe(20_001);
    expect(kvs.every(({ modRevision }) => modRevision <= revision + 3)).toBe(true);
    expect(kvs.at(-1)).toMatchObject({ key: bytes("/web/21"), value: bytes("new") });
    expect(etcd.callsOf("range").map(({ request }) => [request.revision, request.limit])).toEqual([
      [undefined, 1_000],
      [header?.revision, 10_000],
      [header?.revision, 10_000],
    ]);
  });

  it("reads an empty range", async () => {
    etcd.put("/web", "no");
    etcd.put("/web0", "no");
    expect(await list(etcd.transport())).toMatchObject({ kvs: [], header: { revision: 3 } });
  });

  it.each(["too-large", "timeout"] as const)(
    "asks for a page that is %s at a quarter of its size",
    async (kind) => {
      fill(1_500);
      const transport = paged(({ limit = 0 }) => {
        if (limit > 1_000) throw failure(kind);
      });
      const { kvs } = await list(transport);
      expect(kvs).toHaveLength(1_500);
      expect(etcd.callsOf("range").map(({ request }) => request.limit)).toEqual([1_000, 625]);
    },
  );

  it.each([
    { kind: "too-large", limits: [1_000, 250, 62, 15, 3, 1] },
    { kind: "timeout", limits: [1_000, 10_000, 2_500, 625, 156, 100] },
  ] as const)("cuts a page that is $kind down to $limits.length sizes, then gives up", async (row) => {
    fill(1_500);
    const limits: unknown[] = [];
    const transport = paged(({ limit, revision }) => {
      limits.push(limit);
      if (revision !== undefined || row.kind === "too-large") throw failure(row.kind);
    });
    await expect(list(transport)).rejects.toEqual(expect.objectContaining({ code: "SD_UNAVAILABLE" }));
    expect(limits).toEqual(row.limits);
  });

  it("tells at once of a first page that was too slow; the next list begins with a smaller one (D18)", async () => {
    fill(2_000);
    const limits: unknown[] = [];
    const transport = paged(({ limit = 0 }) => {
      limits.push(limit);
      if (limit > 200) throw failure("timeout");
    });
    for (const limit of [1_000, 250]) {
      await expect(list(transport)).rejects.toEqual(failure("timeout"));
      expect(limits.splice(0)).toEqual([limit]);
    }
    expect((await list(transport)).kvs).toHaveLength(2_000);
    expect(limits[0]).toBe(100);
  });

  it("learns nothing from a call that was not sent", async () => {
    fill(2_000);
    let isDown = true;
    const transport = paged(() => {
      if (isDown) throw unsent(failure("timeout"));
    });
    await expect(list(transport)).rejects.toEqual(unsent(failure("timeout")));
    isDown = false;
    await list(transport);
    expect(etcd.callsOf("range").map(({ request }) => request.limit)).toEqual([1_000, 10_000]);
  });

  it("hands over slices in order, between which the event loop goes round", async () => {
    fill(3_100);
    const log: string[] = [];
    const take = ({ kvs, header }: Slice): boolean => {
      expect(header.revision).toBe(etcd.revision);
      log.push(`${text(kvs[0]?.key ?? bytes(""))} ${kvs.length}`);
      setImmediate(() => log.push("round"));
      return true;
    };
    await listRange(etcd.transport(), range, { clock, pages, take });
    expect(log.filter((line) => line !== "round")).toEqual([
      "/web/00000 500",
      "/web/00500 500",
      "/web/01000 500",
      "/web/01500 500",
      "/web/02000 500",
      "/web/02500 500",
      "/web/03000 100",
    ]);
    expect(log.filter((_line, index) => index % 2 === 1)).toEqual(Array(6).fill("round"));
  });

  it("lets go of the page that is on its way when who takes the slices ends it", async () => {
    fill(3_100);
    const signals: (AbortSignal | undefined)[] = [];
    const transport = etcd.transport();
    const read = transport.range.bind(transport);
    Object.assign(transport, {
      range: (...args: Parameters<typeof read>) => {
        signals.push(args[1]?.signal);
        return signals.length === 1 ? read(...args) : new Promise(() => {});
      },
    });
    const cancellation = new Cancellation();
    const listeners = new Set<() => void>();
    vi.spyOn(cancellation, "onAbort").mockImplementation((listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    });
    let slices = 0;
    const take = (): boolean => ++slices < 1;
    expect(await listRange(transport, range, { clock, pages, take, cancellation })).toBe(false);
    expect(slices).toBe(1);
    // The first has come.
    expect(signals.map((signal) => signal?.aborted)).toEqual([false, true]);
    expect(cancellation.onAbort).toHaveBeenCalledTimes(1);
    expect(listeners.size).toBe(0);
  });

  it("ends by what is thrown at a page, and asks for no other", async () => {
    fill(3_100);
    const onPage = ({ count }: RangeResponse): void => {
      throw new Error(`${count}`);
    };
    const take = vi.fn(() => true);
    await expect(listRange(etcd.transport(), range, { clock, pages, onPage, take })).rejects.toThrow("3100");
    expect(take).not.toHaveBeenCalled();
    expect(etcd.callsOf("range")).toHaveLength(1);
  });

  it("rejects as a whole when a later page fails: no part is taken for all (D11)", async () => {
    fill(10_001);
    const transport = paged((_request, page) => {
      if (page === 2) throw failure("network");
    });
    await expect(list(transport)).rejects.toEqual(failure("network"));
  });

  it.each([
    ["nothing", (): KeyValue[] => []],
    ["what was asked for before", (kvs: readonly KeyValue[]): KeyValue[] => kvs.slice(0, 1)],
  ])(
    "rejects, and neither ends early nor goes on for ever, if there is more and a page has %s (D11)",
    async (_what, cut) => {
      fill(3_100);
      const transport = etcd.transport();
      const read = transport.range.bind(transport);
      const first = await read(range);
      let calls = 0;
      transport.range = async (...args) => {
        calls += 1;
        const answer = await read(...args);
        return calls === 1 ? answer : { ...answer, kvs: cut(first.kvs), more: true };
      };
      const refusal = expect.objectContaining({ code: "SD_INVARIANT" });
      await expect(list(transport)).rejects.toEqual(refusal);
      expect(calls).toBe(2);
    },
  );

  it("rejects what holds a key that is not in the range, wherever it stands (D12)", async () => {
    fill(10);
    const transport = etcd.transport();
    const read = transport.range.bind(transport);
    etcd.put("/other/a", "x");
    const { kvs } = await read({ key: bytes("/other/a") });
    transport.range = async (...args) => {
      const answer = await read(...args);
      return { ...answer, kvs: [...answer.kvs.slice(0, 5), ...kvs, ...answer.kvs.slice(5)] };
    };
    await expect(list(transport)).rejects.toMatchObject({
      code: "SD_INVARIANT",
      message: "etcd listed /other/a, unasked",
    });
  });

  it("rejects with SD_COMPACTED when its revision is compacted meanwhile (D7)", async () => {
    fill(10_001);
    const transport = paged((_request, page) => {
      if (page === 1) return;
      etcd.put("/web/a", "new");
      etcd.compact(etcd.revision);
    });
    await expect(list(transport)).rejects.toEqual(expect.objectContaining({ code: "SD_COMPACTED" }));
  });

  it("rejects with the reason of the cancellation", async () => {
    const cancellation = new Cancellation();
    etcd.freeze();
    const listing = settled(list(etcd.transport(), cancellation));
    await clock.settle();
    cancellation.abort("stop");
    await clock.settle();
    expect(listing).toMatchObject({ status: "rejected", reason: "stop" });
  });
});
