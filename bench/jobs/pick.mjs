import { PerformanceObserver } from "node:perf_hooks";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
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
    // Of the worst of the three. Nothing is allocated, up to what the measuring itself takes.
    { metric: "bytes a pick", unit: "of garbage", targets: [{ max: 0.1 }] },
    { metric: "change and pick µs", unit: "µs", targets: [{ max: 50 }] },
  ],
  prepare: ({ etcd }) => fill(etcd, ["/web/"], COUNT),
  contenders: {
    async ours({ endpoint }) {
      const { createClient } = await import("@sd/core");
      const { discover } = await import("@sd/discover");
      const client = createClient({ endpoints: [endpoint] });
      /** @type {Record<string, number>} */
      const figures = { "bytes a pick": 0 };
      for (const balancer of balancers) {
        const web = await discover(client, { service: "web", balancer });
        figures[`${balancer} ns`] = nsPerPick(() => web.pick());
        // The least of three: whatever else the process does only adds to it.
        const bytes = [];
        for (let pass = 0; pass < 3; pass += 1) bytes.push(await bytesPerPick(() => web.pick()));
        figures["bytes a pick"] = Math.max(Math.min(...bytes), figures["bytes a pick"] ?? 0);
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
 * By how much the heap grows; each collection on the way counts as the least that fills V8's young generation.
 *
 * @param {() => unknown} pick
 */
async function bytesPerPick(pick) {
  const leastOfACollection = 1024 * 1024;
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  globalThis.gc?.();
  await pause(50);
  observer.observe({ entryTypes: ["gc"] });
  const before = process.memoryUsage().heapUsed;
  let sink;
  for (let i = 0; i < PICKS; i += 1) sink = pick();
  const grown = process.memoryUsage().heapUsed - before;
  if (sink === undefined) throw new Error("nothing picked");
  await pause(50);
  observer.disconnect();
  return (Math.max(0, grown) + collections * leastOfACollection) / PICKS;
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
