import { subscribe } from "node:diagnostics_channel";
import { timed } from "../measure.mjs";
import { fill } from "../raw-etcd.mjs";

const SERVICES = 1_000;
const EACH = 10;
const names = Array.from({ length: SERVICES }, (_, index) => `service-${index}`);

/** @param {string} endpoint @param {readonly string[]} services */
async function discovering(endpoint, services) {
  let connections = 0;
  subscribe("net.client.socket", () => {
    connections += 1;
  });
  const { createClient } = await import("@sd/core");
  const { discover } = await import("@sd/discover");
  const client = createClient({ endpoints: [endpoint] });
  await discover(client, { service: "warm" });
  const figures = await timed(() => Promise.all(services.map((service) => discover(client, { service }))));
  return { ...figures, "TCP connections": connections };
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "services",
  title: "1,000 services of 10 instances, one client",
  rows: [
    { metric: "wallMs", unit: "ms", targets: [{ of: "one prefix", max: 1.3 }] },
    { metric: "cpuMs", unit: "ms" },
    { metric: "TCP connections", unit: "opened", targets: [{ max: 2 }] },
  ],
  async prepare({ etcd }) {
    await fill(
      etcd,
      names.map((name) => `/${name}/`),
      EACH,
    );
    await fill(etcd, ["/all/"], SERVICES * EACH);
  },
  contenders: {
    ours: ({ endpoint }) => discovering(endpoint, names),
    "one prefix": ({ endpoint }) => discovering(endpoint, ["all"]),
  },
};
