import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { cpuSince, quantile } from "../measure.mjs";
import { fill, inParallel } from "../raw-etcd.mjs";

const CLIENTS = 1_000;
const DOWN_MS = 3_000;
const RECOVERY_MS = 15_000;
/** The rate is that of so long: all clients share this process, and a turn of its event loop may hold a dozen. */
const SLICE_MS = 500;

/** What etcd has spent since it was started, in milliseconds. @param {string} endpoint */
async function etcdCpuMs(endpoint) {
  const metrics = await (await fetch(`${endpoint}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(metrics)?.[1]) * 1_000;
}

/**
 * A transport that tells of each request that etcd has answered, and of each stream that was opened.
 *
 * @param {import("@sd/core").EtcdTransport} transport
 * @param {() => void} onRequest
 * @returns {import("@sd/core").EtcdTransport}
 */
function counted(transport, onRequest) {
  /** @template T @param {Promise<T>} request */
  const count = async (request) => {
    const answer = await request;
    onRequest();
    return answer;
  };
  return {
    range: (...call) => count(transport.range(...call)),
    txn: (...call) => count(transport.txn(...call)),
    grant: (...call) => count(transport.grant(...call)),
    revoke: (...call) => count(transport.revoke(...call)),
    keepAlive: (...call) => count(transport.keepAlive(...call)),
    watch: (...call) => count(transport.watch(...call)),
    close: () => transport.close(),
  };
}

/**
 * The greatest number within a slice, over the mean of all slices in which the middle nine tenths lie.
 *
 * @param {readonly number[]} times
 */
function peakOverMean(times) {
  const from = quantile(times, 0.05);
  const lengthMs = quantile(times, 0.95) - from;
  const slices = new Map();
  for (const time of times) {
    const slice = Math.floor((time - from) / SLICE_MS);
    slices.set(slice, (slices.get(slice) ?? 0) + 1);
  }
  return Math.max(...slices.values()) / ((0.9 * times.length) / (lengthMs / SLICE_MS));
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "restart",
  title: "1,000 discoverers, a client each, and a restart of etcd",
  maxRuns: 3,
  rows: [
    { metric: "peak of first requests", unit: "x mean", targets: [{ max: 2 }] },
    { metric: "5 % to 95 % of first requests", unit: "s", targets: [{ min: 2 }] },
    { metric: "p99 live again", unit: "s after etcd serves", targets: [{ max: 6 }] },
    { metric: "requests", unit: "a client" },
    { metric: "cpuMs", unit: "ms a client" },
    { metric: "CPU of etcd", unit: "ms a client" },
  ],
  prepare: ({ etcd }) => fill(etcd, ["/web/"], 10),
  async drive({ process: etcd }) {
    await etcd.kill();
    await pause(DOWN_MS);
    await etcd.restart();
  },
  contenders: {
    async ours({ endpoint, drive }) {
      const { createClient } = await import("@sd/core");
      const { discover } = await import("@sd/discover");
      /** @type {number[][]} */
      const requests = Array.from({ length: CLIENTS }, () => []);
      /** @type {number[]} */
      const liveAt = [];
      let brokenAt = Number.POSITIVE_INFINITY;
      await inParallel(CLIENTS, 32, async (index) => {
        const transport = counted(createClient({ endpoints: [endpoint] }).transport, () => {
          requests[index]?.push(performance.now());
        });
        const web = await discover(createClient({ transport }), { service: "web" });
        web.subscribe(({ status }) => {
          if (status === "live") liveAt[index] = performance.now();
          else brokenAt = Math.min(brokenAt, performance.now());
        });
      });
      await pause(3_000);
      const cpu = process.cpuUsage();
      await drive();
      const servesAt = performance.now();
      const etcdBefore = await etcdCpuMs(endpoint);
      await pause(RECOVERY_MS);
      const cpuMs = cpuSince(cpu);
      const etcdMs = (await etcdCpuMs(endpoint)) - etcdBefore;
      const live = liveAt.filter((at) => at > 0);
      if (live.length !== CLIENTS) throw new Error(`${live.length} of ${CLIENTS} are live again`);
      const after = requests.map((times) => times.filter((at) => at > brokenAt));
      const first = after.map(([at = Number.NaN]) => at);
      return {
        "peak of first requests": peakOverMean(first),
        "5 % to 95 % of first requests": (quantile(first, 0.95) - quantile(first, 0.05)) / 1_000,
        "p99 live again": (quantile(live, 0.99) - servesAt) / 1_000,
        requests: after.flat().length / CLIENTS,
        cpuMs: cpuMs / CLIENTS,
        "CPU of etcd": etcdMs / CLIENTS,
      };
    },
  },
};
