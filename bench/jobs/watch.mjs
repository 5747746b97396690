import process from "node:process";
import { cpuSince } from "../measure.mjs";
import { inParallel, instanceKey, instanceValue, putRequest, RawEtcd, watchRequest } from "../raw-etcd.mjs";

export const EVENTS = 50_000;
const KEYS = 100;

/** Lets the last events arrive. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 300));

/**
 * What the process spends while another one writes.
 *
 * @param {() => Promise<void>} drive
 * @param {() => number} [eventsSeen]
 */
export async function cpuWhile(drive, eventsSeen) {
  await pause();
  const seenBefore = eventsSeen?.() ?? 0;
  const before = process.cpuUsage();
  await drive();
  await pause();
  const cpuMs = cpuSince(before);
  const seen = (eventsSeen?.() ?? 0) - seenBefore;
  if (eventsSeen && seen !== EVENTS) throw new Error(`saw ${seen} events of ${EVENTS}`);
  return { "CPU µs an event": (cpuMs * 1000) / EVENTS };
}

/** @param {import("../job.mjs").Setting} setting @param {string} prefix */
export async function writeEvents({ etcd }, prefix) {
  await inParallel(EVENTS, 32, (index) =>
    etcd.call("put", putRequest(instanceKey(prefix, index % KEYS), instanceValue(index))),
  );
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "watch",
  title: "50,000 single puts watched",
  rows: [
    {
      metric: "CPU µs an event",
      unit: "µs",
      targets: [
        { of: "raw", max: 1.25 },
        { of: "etcd3", max: 0.65 },
      ],
    },
  ],
  drive: (setting) => writeEvents(setting, "/web/"),
  contenders: {
    async ours({ endpoint, drive }) {
      const { createClient } = await import("@sd/core");
      const { discover } = await import("@sd/discover");
      const web = await discover(createClient({ endpoints: [endpoint] }), { service: "web" });
      let events = 0;
      web.onChanges((changes) => {
        events += changes.length;
      });
      return cpuWhile(drive, () => events);
    },
    async etcd3({ endpoint, drive }) {
      const { Etcd3 } = await import("etcd3");
      const watcher = await new Etcd3({ hosts: endpoint }).watch().prefix("/web/").create();
      let events = 0;
      watcher.on("put", () => {
        events += 1;
      });
      return cpuWhile(drive, () => events);
    },
    async raw({ endpoint, drive }) {
      const stream = new RawEtcd(endpoint).open("watch");
      stream.write(watchRequest("/web/"));
      await new Promise((created) => stream.once("data", created));
      stream.on("data", () => {});
      return cpuWhile(drive);
    },
  },
};
