import { EtcdProcess, eventually, FaultProxy, leakCheck, oldestAndNewestEtcd } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { createClient, type EtcdClient, prefixRange, Reflector } from "../src/index.js";
import { RecordingStore } from "./recorders.js";

const BYTES_PER_SECOND = 64 * 1024;
/** In one message, more than passes before a silent stream is left. */
const EVENTS = 800;
/** They come round, so that a list is much less than the backlog. */
const KEYS = 50;

describe.each(oldestAndNewestEtcd())("a reflector over a slow link, on $name", ({ binary }) => {
  it("gets past a backlog that takes longer than a stream may be silent, by listing", async () => {
    const leaks = leakCheck();
    {
      await using etcd = await EtcdProcess.start({ binary });
      await using direct = createClient({ endpoints: [etcd.endpoint] });
      const { header } = await direct.transport.range({ key: Buffer.from("/w/"), limit: 1 });
      await writeBacklog(direct);
      await using link = await FaultProxy.start({ target: etcd.endpoint });
      link.limitBandwidth(BYTES_PER_SECOND, "down");
      await using slow = createClient({ endpoints: [link.endpoint] });
      const store = new RecordingStore();
      await using reflector = new Reflector(slow, {
        range: prefixRange(Buffer.from("/w/")),
        store,
        revision: header.revision,
      });
      await eventually(() => Object.keys(store.content).length === KEYS, { timeoutMs: 40_000 });
      await eventually(() => reflector.state.status === "live", { timeoutMs: 20_000 });
      expect(store.calls[0]).toBe(`replace ${KEYS} -> ${header.revision + EVENTS}`);
    }
    await leaks.assertClean({ withinMs: 3_000 });
  }, 90_000);
});

async function writeBacklog(client: EtcdClient): Promise<void> {
  const lease = await client.leases.grant({ ttlSeconds: 600 });
  const put = async (index: number): Promise<void> => {
    await client.transport.txn({
      compare: [],
      success: [
        {
          type: "put",
          key: Buffer.from(`/w/${index % KEYS}`),
          value: Buffer.alloc(1_000, 65),
          lease: lease.id,
        },
      ],
      failure: [],
    });
  };
  for (let index = 0; index < EVENTS; index += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, offset) => put(index + offset)));
  }
}
