import process from "node:process";
import { cpuSince } from "../measure.mjs";

/** @param {string} name */
async function importing(name) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await import(name);
  return { wallMs: performance.now() - start, cpuMs: cpuSince(cpu) };
}

/** @type {import("../job.mjs").Job} */
export const job = {
  name: "import",
  title: "import of @sd/discover",
  rows: [
    { metric: "wallMs", unit: "ms", targets: [{ of: "etcd3", max: 1.15 }] },
    { metric: "cpuMs", unit: "ms" },
  ],
  contenders: {
    ours: () => importing("@sd/discover"),
    etcd3: () => importing("etcd3"),
    raw: () => importing("@grpc/grpc-js"),
  },
};
