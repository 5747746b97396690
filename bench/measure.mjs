/** What a contender measures of its own process. */

import { monitorEventLoopDelay } from "node:perf_hooks";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";

/**
 * Measures `work`: wall and CPU time, and the longest time in which the event loop did not come round.
 *
 * @param {() => Promise<unknown>} work
 */
export async function timed(work) {
  const resolution = 1;
  const delays = monitorEventLoopDelay({ resolution });
  delays.enable();
  // The histogram counts from its second tick on.
  await pause(10);
  delays.reset();
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const wallMs = performance.now() - start;
  const cpuMs = cpuSince(cpu);
  await pause(5);
  delays.disable();
  return { wallMs, cpuMs, stallMs: Math.max(0, delays.max / 1e6 - resolution) };
}

/** @param {NodeJS.CpuUsage} before */
export function cpuSince(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Bytes in use, on the heap and beside it, after the garbage is gone. */
export async function memoryInUse() {
  for (let i = 0; i < 3; i += 1) {
    await pause(20);
    globalThis.gc?.();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** @param {readonly number[]} values @param {number} share 0.5 is the median */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
