import { quantile } from "../measure.mjs";
import { instanceKey, instanceValue, putRequest, RawEtcd, watchRequest } from "../raw-etcd.mjs";

const WARM_UP = 500;
const COUNT = 3_000;

/**
 * Puts one key after another, each when the one before was seen.
 *
 * @param {string} endpoint
 * @param {(seen: () => void) => Promise<unknown>} subscribe calls `seen` at each change
 */
async function measured(endpoint, subscribe) {
  const writer = new RawEtcd(endpoint);
  let seen = () => {};
  await subscribe(() => seen());
  const latencies = [];
  for (let index = 0; index < WARM_UP + COUNT; index += 1) {
    const request = putRequest(instanceKey("/web/", index % 100), instanceValue(index));
    const change = new Promise((resolve) => {
      seen = () => resolve(performance.now());
    });
    const start = performance.now();
    const [at] = await Promise.all([change, writer.call("put", request)]);
    if (index >= WARM_UP) latencies.push(at - start);
  }
  return { "p50 ms": quantile(latencies, 0.5), "p99 ms": quantile(latencies, 0.99) };
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "latency",
  title: "put to change seen",
  rows: [
    { metric: "p50 ms", unit: "ms", targets: [{ of: "raw", max: 1.1 }] },
    { metric: "p99 ms", unit: "ms", targets: [{ of: "raw", max: 1.5 }] },
  ],
  contenders: {
    async ours({ endpoint }) {
      const { createClient } = await import("@sd/core");
      const { discover } = await import("@sd/discover");
      const web = await discover(createClient({ endpoints: [endpoint] }), { service: "web" });
      return measured(endpoint, async (seen) => web.onChanges(seen));
    },
    async etcd3({ endpoint }) {
      const { Etcd3 } = await import("etcd3");
      const watcher = await new Etcd3({ hosts: endpoint }).watch().prefix("/web/").create();
      return measured(endpoint, async (seen) => watcher.on("put", seen));
    },
    async raw({ endpoint }) {
      const stream = new RawEtcd(endpoint).open("watch");
      stream.write(watchRequest("/web/"));
      await new Promise((created) => stream.once("data", created));
      return measured(endpoint, async (seen) => stream.on("data", seen));
    },
  },
};
