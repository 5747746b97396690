import { fill } from "../raw-etcd.mjs";
import { cpuWhile, writeEvents } from "./watch.mjs";

/** @param {string} service @returns {(context: import("../job.mjs").Context) => Promise<import("../job.mjs").Figures>} */
const watching =
  (service) =>
  async ({ endpoint, drive }) => {
    const { createClient } = await import("@sd/core");
    const { discover } = await import("@sd/discover");
    const discovery = await discover(createClient({ endpoints: [endpoint] }), { service });
    let events = 0;
    discovery.onChanges((changes) => {
      events += changes.length;
      // As a process that serves requests all the time would.
      discovery.pick();
    });
    return cpuWhile(
      () => drive(`/${service}/`),
      () => events,
    );
  };

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "watch-size",
  title: "the same with a pick after each, on 100,000 keys",
  rows: [{ metric: "CPU µs an event", unit: "µs", targets: [{ of: "100 keys", max: 1.3 }] }],
  async prepare({ etcd }) {
    await fill(etcd, ["/large/"], 100_000);
    await fill(etcd, ["/small/"], 100);
  },
  drive: writeEvents,
  contenders: { ours: watching("large"), "100 keys": watching("small") },
};
