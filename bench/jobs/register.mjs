import { randomInt } from "node:crypto";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { cpuSince, timed } from "../measure.mjs";
import {
  inParallel,
  instanceKey,
  instanceValue,
  message,
  putRequest,
  RawEtcd,
  watchRequest,
} from "../raw-etcd.mjs";

const COUNT = 10_000;
const PARALLEL = 256;
const TTL_SECONDS = 15;
const IDLE_MS = 15_000;

/**
 * Registers all, then does nothing but keep them.
 *
 * @param {(index: number) => Promise<unknown>} register
 */
async function measured(register) {
  const { wallMs, cpuMs } = await timed(() => inParallel(COUNT, PARALLEL, register));
  await pause(1_000);
  const cpu = process.cpuUsage();
  await pause(IDLE_MS);
  return { wallMs, cpuMs, "idle CPU %": (cpuSince(cpu) / IDLE_MS) * 100 };
}

/** Other keys for each contender and run: those of the last are still there. */
const prefix = () => `/web${randomInt(2 ** 40)}/`;

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "register",
  title: "10,000 registered, a lease each, TTL 15",
  maxRuns: 3,
  rows: [
    { metric: "wallMs", unit: "ms", targets: [{ of: "raw", max: 1.15 }] },
    { metric: "cpuMs", unit: "ms" },
    { metric: "idle CPU %", unit: "%", targets: [{ of: "etcd3", max: 0.35 }] },
  ],
  // The leases of the last run end.
  restore: () => pause((TTL_SECONDS + 2) * 1_000),
  contenders: {
    async ours({ endpoint }) {
      const { createClient } = await import("@sd/core");
      const { registerKey } = await import("@sd/register");
      const client = createClient({ endpoints: [endpoint] });
      const folder = prefix();
      return measured((index) =>
        registerKey(client, {
          key: instanceKey(folder, index),
          value: instanceValue(index),
          ttlSeconds: TTL_SECONDS,
        }),
      );
    },
    async etcd3({ endpoint }) {
      const { Etcd3 } = await import("etcd3");
      const etcd = new Etcd3({ hosts: endpoint });
      const folder = prefix();
      return measured(async (index) => {
        await etcd.lease(TTL_SECONDS).put(instanceKey(folder, index)).value(instanceValue(index));
      });
    },
    async raw({ endpoint }) {
      const etcd = new RawEtcd(endpoint);
      const folder = prefix();
      const guards = etcd.open("watch");
      const renewals = etcd.open("keepAlive");
      guards.on("data", () => {});
      renewals.on("data", () => {});
      const first = randomInt(2 ** 40);
      let registered = 0;
      setInterval(
        () => {
          for (let index = 0; index < registered; index += 1) renewals.write(message([1, first + index]));
        },
        (TTL_SECONDS * 1_000) / 3,
      );
      return measured(async (index) => {
        const [id, key] = [first + index, instanceKey(folder, index)];
        await etcd.call("grant", message([1, TTL_SECONDS], [2, id]));
        // If nobody has written the key: put it.
        const compare = message([2, 2], [3, key], [6, 0]);
        const put = message([2, putRequest(key, instanceValue(index), id)]);
        await etcd.call("txn", message([1, compare], [2, put]));
        guards.write(watchRequest(key));
        registered += 1;
      });
    },
  },
};
