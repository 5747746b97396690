import { memoryInUse, timed } from "../measure.mjs";
import { fill, instanceKey, instanceValue, RawEtcd, rangeRequest } from "../raw-etcd.mjs";

const COUNT = 100_000;
const KEY_VALUE_BYTES = instanceKey("/web/", 0).length + instanceValue(0).length;

/** What is held is not counted if nobody needs it any more. @type {unknown[]} */
const held = [];

/**
 * Measures `list` after a small one, which opens the connections, and what its result keeps in memory.
 *
 * @param {() => Promise<unknown>} warmUp
 * @param {() => Promise<unknown>} list
 */
async function measured(warmUp, list) {
  held.push(await warmUp());
  const before = await memoryInUse();
  const figures = await timed(async () => held.push(await list()));
  const bytes = (await memoryInUse()) - before;
  return { ...figures, "bytes beyond key and value": bytes / COUNT - KEY_VALUE_BYTES };
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "list",
  title: "discover ready on 100,000 instances",
  rows: [
    {
      metric: "wallMs",
      unit: "ms",
      targets: [
        { of: "raw", max: 1.8 },
        { of: "etcd3", max: 0.45 },
      ],
    },
    { metric: "cpuMs", unit: "ms" },
    { metric: "stallMs", unit: "ms", targets: [{ max: 25 }] },
    { metric: "bytes beyond key and value", unit: "each", targets: [{ max: 500 }] },
  ],
  async prepare({ etcd }) {
    await fill(etcd, ["/web/"], COUNT);
    await fill(etcd, ["/warm/"], 10);
  },
  contenders: {
    async ours({ endpoint }) {
      const { createClient } = await import("@sd/core");
      const { discover } = await import("@sd/discover");
      const client = createClient({ endpoints: [endpoint] });
      return measured(
        () => discover(client, { service: "warm" }),
        async () => {
          const web = await discover(client, { service: "web" });
          if (web.pick().service !== "web") throw new Error("not ready");
          return web;
        },
      );
    },
    async etcd3({ endpoint }) {
      const { Etcd3 } = await import("etcd3");
      const etcd = new Etcd3({ hosts: endpoint, grpcOptions: { "grpc.max_receive_message_length": -1 } });
      return measured(
        () => etcd.getAll().prefix("/warm/").strings(),
        () => etcd.getAll().prefix("/web/").strings(),
      );
    },
    async raw({ endpoint }) {
      const etcd = new RawEtcd(endpoint);
      return measured(
        () => etcd.call("range", rangeRequest("/warm/")),
        () => etcd.call("range", rangeRequest("/web/")),
      );
    },
  },
};
