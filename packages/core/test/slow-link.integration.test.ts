import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { EtcdProcess, etcdBinaries, eventually, leakCheck } from "@sd/testing";
import { describe, expect, it } from "vitest";
import { createClient, type EtcdClient, prefixRange, Reflector } from "../src/index.js";
import { RecordingStore } from "./recorders.js";

const BYTES_PER_SECOND = 64 * 1024;
/** In one message, more than passes before a silent stream is left. */
const EVENTS = 800;
/** They come round, so that a list is much less than the backlog. */
const KEYS = 50;

describe.each(etcdBinaries())("a reflector over a slow link, on $name", ({ binary }) => {
  it("gets past a backlog that takes longer than a stream may be silent, by listing", async () => {
    const leaks = leakCheck();
    {
      await using etcd = await EtcdProcess.start({ binary });
      await using direct = createClient({ endpoints: [etcd.endpoint] });
      const { header } = await direct.transport.range({ key: Buffer.from("/w/"), limit: 1 });
      await writeBacklog(direct);
      await using link = await slowLink(etcd.endpoint);
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

/** A way to etcd that lets only so many bytes pass in a second. */
async function slowLink(target: string): Promise<AsyncDisposable & { readonly endpoint: string }> {
  const port = Number(new URL(target).port);
  const timers = new Set<NodeJS.Timeout>();
  const server: Server = createServer((downstream) => {
    const upstream = connect(port, "127.0.0.1");
    downstream.pipe(upstream);
    downstream.on("error", () => upstream.destroy());
    upstream.on("error", () => downstream.destroy());
    upstream.on("close", () => downstream.destroy());
    downstream.on("close", () => upstream.destroy());
    upstream.on("data", (chunk: Buffer) => {
      upstream.pause();
      downstream.write(chunk);
      const timer = setTimeout(
        () => {
          timers.delete(timer);
          upstream.resume();
        },
        (chunk.length / BYTES_PER_SECOND) * 1_000,
      );
      timers.add(timer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      for (const timer of timers) clearTimeout(timer);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
