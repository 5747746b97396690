import { createHook } from "node:async_hooks";
import { get } from "node:http";
import process from "node:process";
import { text } from "node:stream/consumers";
import { setTimeout as pause, setImmediate as round } from "node:timers/promises";
import { cpuSince } from "../measure.mjs";

const IDLE_MS = 60_000;

/** How often etcd was asked for a range, by anybody. Leaves no connection behind. @param {string} endpoint */
async function reads(endpoint) {
  const metrics = await new Promise((resolve, reject) => {
    get(`${endpoint}/metrics`, { agent: false }, (answer) => resolve(text(answer))).once("error", reject);
  });
  const line = /grpc_server_handled_total\{grpc_code="OK",grpc_method="Range",[^}]*\} (\d+)/.exec(metrics);
  return Number(line?.[1] ?? 0);
}

/**
 * Does nothing for a minute, some time after `start`.
 *
 * @param {string} endpoint
 * @param {() => Promise<unknown>} start
 */
async function measured(endpoint, start) {
  const timers = new Set();
  const hook = createHook({
    init: (id, type) => type === "Timeout" && timers.add(id),
    destroy: (id) => timers.delete(id),
  }).enable();
  await start();
  await pause(10_000);
  // Until Node has told of the end of that one.
  await round();
  await round();
  const count = timers.size;
  // It would make every promise dearer.
  hook.disable();
  // Half a minute after the start V8 gives memory back, once, by three collections: 64 ms, as much as all else in a minute.
  await pause(30_000);
  const readsBefore = await reads(endpoint);
  await pause(1_000);
  const cpu = process.cpuUsage();
  await pause(IDLE_MS);
  const cpuMs = cpuSince(cpu);
  return {
    "CPU %": (cpuMs / IDLE_MS) * 100,
    timers: count,
    "reads a minute": (((await reads(endpoint)) - readsBefore) * 60_000) / (IDLE_MS + 1_000),
  };
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "idle",
  title: "idle: one registration, one discovery",
  maxRuns: 1,
  rows: [
    { metric: "CPU %", unit: "%", targets: [{ max: 0.1 }] },
    { metric: "timers", unit: "pending", targets: [{ max: 5 }] },
    { metric: "reads a minute", unit: "to etcd", targets: [{ max: 5 }] },
  ],
  contenders: {
    ours: ({ endpoint }) =>
      measured(endpoint, async () => {
        const { createClient } = await import("@sd/core");
        const { discover } = await import("@sd/discover");
        const { register } = await import("@sd/register");
        const client = createClient({ endpoints: [endpoint] });
        await register(client, { service: "web", id: "a", address: "localhost:8000" });
        await discover(client, { service: "web" });
      }),
    etcd3: ({ endpoint }) =>
      measured(endpoint, async () => {
        const { Etcd3 } = await import("etcd3");
        const etcd = new Etcd3({ hosts: endpoint });
        await etcd.lease(15).put("/web/a").value("localhost:8000");
        await etcd.watch().prefix("/web/").create();
      }),
    // A process that waits.
    nothing: ({ endpoint }) => measured(endpoint, async () => setInterval(() => {}, 1_000_000)),
  },
};
