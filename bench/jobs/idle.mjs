import { createHook } from "node:async_hooks";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { cpuSince } from "../measure.mjs";

const IDLE_MS = 60_000;

/** How often etcd was asked for a range, by anybody. @param {string} endpoint */
async function reads(endpoint) {
  const metrics = await (await fetch(`${endpoint}/metrics`)).text();
  const line = /grpc_server_handled_total\{grpc_code="OK",grpc_method="Range",[^}]*\} (\d+)/.exec(metrics);
  return Number(line?.[1] ?? 0);
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
    async ours({ endpoint }) {
      const timers = new Set();
      createHook({
        init: (id, type) => type === "Timeout" && timers.add(id),
        destroy: (id) => timers.delete(id),
      }).enable();
      const { createClient } = await import("@sd/core");
      const { discover } = await import("@sd/discover");
      const { register } = await import("@sd/register");
      const client = createClient({ endpoints: [endpoint] });
      await register(client, { service: "web", id: "a", address: "localhost:8000" });
      await discover(client, { service: "web" });
      await reads(endpoint);
      await pause(10_000);
      const readsBefore = await reads(endpoint);
      const cpu = process.cpuUsage();
      // Without the one of this pause, and those of fetch.
      const waiting = pause(IDLE_MS);
      await pause(1_000);
      const count = timers.size - 1;
      await waiting;
      const cpuMs = cpuSince(cpu);
      return {
        "CPU %": (cpuMs / IDLE_MS) * 100,
        timers: count,
        "reads a minute": (((await reads(endpoint)) - readsBefore) * 60_000) / IDLE_MS,
      };
    },
  },
};
