import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { timed } from "../measure.mjs";
import { inParallel } from "../raw-etcd.mjs";

const COUNT = 10_000;
const TTL_SECONDS = 15;

/** Of a service of their own for each contender and run: those of the last are still there. */
function instances() {
  const service = `web${randomInt(2 ** 40)}`;
  return Array.from({ length: COUNT }, (_, index) => ({
    service,
    id: `node-${String(index).padStart(6, "0")}`,
    address: `10.0.${(index >> 8) & 255}.${index & 255}:8000`,
    version: "1.2.0",
    zone: "a",
    metadata: { rack: "r12" },
  }));
}

/** @param {import("../job.mjs").Context} context @param {number} parallel */
async function singly({ endpoint }, parallel) {
  const { createClient } = await import("@sd/core");
  const { register } = await import("@sd/register");
  const client = createClient({ endpoints: [endpoint] });
  const all = instances();
  return timed(() =>
    inParallel(COUNT, parallel, (index) =>
      register(client, {
        .../** @type {ReturnType<typeof instances>[number]} */ (all[index]),
        ttlSeconds: TTL_SECONDS,
      }),
    ),
  );
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "register-all",
  title: "10,000 registered, on shared leases",
  maxRuns: 5,
  rows: [
    { metric: "wallMs", unit: "ms", targets: [{ of: "one by one", max: 1 / 8 }] },
    { metric: "cpuMs", unit: "ms" },
  ],
  // The leases of the last run end.
  restore: () => pause((TTL_SECONDS + 2) * 1_000),
  contenders: {
    async ours({ endpoint }) {
      const { createClient } = await import("@sd/core");
      const { registerAll } = await import("@sd/register");
      const client = createClient({ endpoints: [endpoint] });
      const all = instances();
      return timed(() => registerAll(client, { instances: all, ttlSeconds: TTL_SECONDS }));
    },
    /** Each when the one before is registered. */
    "one by one": (context) => singly(context, 1),
    "256 at a time": (context) => singly(context, 256),
  },
};
