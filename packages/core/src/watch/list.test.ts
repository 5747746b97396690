import { ManualClock, MemoryEtcd } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { bytes, settled, text } from "../../test/observe.js";
import { failure } from "../../test/scripted-transport.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { RangeRequest, RangeResponse } from "../etcd/types.js";
import { prefixRange } from "./key-range.js";
import { listRange } from "./list.js";

const range = prefixRange(bytes("/web/"));
let clock: ManualClock;
let etcd: MemoryEtcd;

beforeEach(() => {
  clock = new ManualClock();
  etcd = new MemoryEtcd({ clock });
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
    const { kvs, header } = await listRange(transport, range);
    // The first page sees what came before it.
    expect(header.revision).toBe(revision + 3);
    expect(kvs).toHaveLength(20_001);
    expect(new Set(kvs.map(({ key }) => text(key))).size).toBe(20_001);
    expect(kvs.every(({ modRevision }) => modRevision <= header.revision)).toBe(true);
    expect(kvs.at(-1)).toMatchObject({ key: bytes("/web/21"), value: bytes("new") });
    expect(etcd.callsOf("range").map(({ request }) => [request.revision, request.limit])).toEqual([
      [undefined, 10_000],
      [header.revision, 10_000],
      [header.revision, 10_000],
    ]);
  });

  it("reads an empty range", async () => {
    etcd.put("/web", "no");
    etcd.put("/web0", "no");
    expect(await listRange(etcd.transport(), range)).toMatchObject({ kvs: [], header: { revision: 3 } });
  });

  it.each(["too-large", "timeout"] as const)(
    "asks for a page that is %s at a quarter of its size",
    async (kind) => {
      fill(1_500);
      const transport = paged(({ limit = 0 }) => {
        if (limit > 1_000) throw failure(kind);
      });
      const { kvs } = await listRange(transport, range);
      expect(kvs).toHaveLength(1_500);
      expect(etcd.callsOf("range").map(({ request }) => request.limit)).toEqual([625, 625, 625]);
    },
  );

  it.each([
    { kind: "too-large", smallest: [39, 9, 2, 1] },
    { kind: "timeout", smallest: [100] },
  ] as const)("cuts a page that is $kind down to $smallest.length more sizes, then gives up", async (row) => {
    const limits: unknown[] = [];
    const transport = paged(({ limit }) => {
      limits.push(limit);
      throw failure(row.kind);
    });
    await expect(listRange(transport, range)).rejects.toEqual(
      expect.objectContaining({ code: "SD_UNAVAILABLE" }),
    );
    expect(limits).toEqual([10_000, 2_500, 625, 156, ...row.smallest]);
  });

  it("rejects as a whole when a later page fails: no part is taken for all (D11)", async () => {
    fill(10_001);
    const transport = paged((_request, page) => {
      if (page === 2) throw failure("network");
    });
    await expect(listRange(transport, range)).rejects.toEqual(failure("network"));
  });

  it("rejects with SD_COMPACTED when its revision is compacted meanwhile (D7)", async () => {
    fill(10_001);
    const transport = paged((_request, page) => {
      if (page === 1) return;
      etcd.put("/web/a", "new");
      etcd.compact(etcd.revision);
    });
    await expect(listRange(transport, range)).rejects.toEqual(
      expect.objectContaining({ code: "SD_COMPACTED" }),
    );
  });

  it("rejects with the signal's reason", async () => {
    const controller = new AbortController();
    etcd.freeze();
    const listing = settled(listRange(etcd.transport(), range, controller.signal));
    await clock.settle();
    controller.abort("stop");
    await clock.settle();
    expect(listing).toMatchObject({ status: "rejected", reason: "stop" });
  });
});
