import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { cpuSince, quantile } from "../measure.mjs";
import { fill, inParallel } from "../raw-etcd.mjs";

const CLIENTS = 1_000;
const DOWN_MS = 1_000;
const RECOVERY_MS = 15_000;
/** The rate is that of so long. */
const SLICE_MS = 250;

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
 * The greatest number of requests within a slice, over the mean of all slices until 95 % of them were made.
 *
 * @param {readonly number[]} times in order
 */
function peakOverMean(times) {
  const [first = 0] = times;
  const most = times.slice(0, Math.ceil(0.95 * times.length));
  const slices = new Map();
  for (const time of most) {
    const slice = Math.floor((time - first) / SLICE_MS);
    slices.set(slice, (slices.get(slice) ?? 0) + 1);
  }
  const durationMs = /** @type {number} */ (most.at(-1)) - first;
  return Math.max(...slices.values()) / (most.length / (durationMs / SLICE_MS));
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "restart",
  title: "1,000 discoverers, a client each, and a restart of etcd",
  maxRuns: 3,
  rows: [
    { metric: "peak of requests", unit: "x mean", targets: [{ max: 2 }] },
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
      const all = after.flat().sort((a, b) => a - b);
      return {
        "peak of requests": peakOverMean(all),
        "5 % to 95 % of first requests": (quantile(first, 0.95) - quantile(first, 0.05)) / 1_000,
        "p99 live again": (quantile(live, 0.99) - servesAt) / 1_000,
        requests: all.length / CLIENTS,
        cpuMs: cpuMs / CLIENTS,
        "CPU of etcd": etcdMs / CLIENTS,
      };
    },
  },
};
