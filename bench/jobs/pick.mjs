import process from "node:process";
import { cpuSince } from "../measure.mjs";
import { fill, instanceKey, instanceValue, message, putRequest, RawEtcd } from "../raw-etcd.mjs";

const COUNT = 10_000;
const PICKS = 5_000_000;
const CHANGES = 2_000;
/** @type {readonly import("@sd/discover").Balancer[]} */
const balancers = ["round-robin", "random", "weighted"];

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "pick",
  title: "pick() at 10,000 instances",
  rows: [
    { metric: "round-robin ns", unit: "ns", targets: [{ max: 15 }] },
    { metric: "random ns", unit: "ns", targets: [{ max: 20 }] },
    { metric: "weighted ns", unit: "ns", targets: [{ max: 60 }] },
    { metric: "change and pick µs", unit: "µs", targets: [{ max: 50 }] },
  ],
  prepare: ({ etcd }) => fill(etcd, ["/web/"], COUNT),
  contenders: {
    async ours({ endpoint }) {
      const { createClient } = await import("@sd/core");
      const { discover } = await import("@sd/discover");
      const client = createClient({ endpoints: [endpoint] });
      /** @type {Record<string, number>} */
      const figures = {};
      for (const balancer of balancers) {
        const web = await discover(client, { service: "web", balancer });
        figures[`${balancer} ns`] = nsPerPick(() => web.pick());
        figures["change and pick µs"] = await usPerChange(endpoint, web);
        await web.close();
      }
      return figures;
    },
  },
};

/** @param {() => unknown} pick */
function nsPerPick(pick) {
  let sink;
  for (let i = 0; i < 200_000; i += 1) sink = pick();
  const start = process.cpuUsage();
  for (let i = 0; i < PICKS; i += 1) sink = pick();
  const ns = (cpuSince(start) * 1e6) / PICKS;
  if (sink === undefined) throw new Error("nothing picked");
  return ns;
}

/**
 * The first pick after each of many changes: half of them come and go, half are updates.
 *
 * @param {string} endpoint
 * @param {import("@sd/discover").ServiceDiscovery} web
 */
async function usPerChange(endpoint, web) {
  const writer = new RawEtcd(endpoint);
  let ms = 0;
  let changes = 0;
  const seen = new Promise((resolve) => {
    web.onChanges(() => {
      const start = performance.now();
      web.pick();
      ms += performance.now() - start;
      changes += 1;
      if (changes === CHANGES) resolve(undefined);
    });
  });
  for (let index = 0; index < CHANGES; index += 4) {
    const key = instanceKey("/web/", COUNT + index);
    await writer.call("put", putRequest(instanceKey("/web/", index), instanceValue(index)));
    await writer.call("put", putRequest(key, instanceValue(index)));
    await writer.call("put", putRequest(instanceKey("/web/", index), instanceValue(index + 1)));
    await writer.call("deleteRange", message([1, key]));
  }
  await seen;
  return (ms * 1000) / CHANGES;
}
