import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const HOUR_MS = 3_600_000;

/** What the process held at one time, while all was at rest. Bytes. */
export interface Sample {
  readonly atMs: number;
  readonly rss: number;
  readonly heap: number;
  /** What V8 has of the system for its heap, used or not. The rest of `rss` is malloc's, and programs. */
  readonly committed: number;
  /** Outside of V8's heap, but known to it: buffers above all. */
  readonly external: number;
  /** Of clients to members, as the proxies between them see it; each is a socket at either end of both its halves. */
  readonly connections: number;
  /** Sockets, pipes and what else keeps Node busy, but timers. */
  readonly handles: number;
  readonly timers: number;
  readonly listeners: number;
}

/** Measures after full garbage collections: the first one lets go of what has finalizers. */
export function measure(atMs: number, collectGarbage: () => void, connections = 0): Sample {
  collectGarbage();
  collectGarbage();
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
  const resources = process.getActiveResourcesInfo();
  const timers = resources.filter((each) => each === "Timeout" || each === "Immediate").length;
  const handles = resources.length - timers;
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
  return {
    atMs,
    rss,
    heap: heapUsed,
    committed: heapTotal,
    external,
    connections,
    handles,
    timers,
    listeners,
  };
}

/** V8's garbage collection, which Node only shows when asked to. */
export function garbageCollection(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** How fast something grows, an hour. */
export interface Slope {
  readonly perHour: number;
  /** The standard error: by so much it is uncertain, as the samples scatter. */
  readonly error: number;
}

/** The slope of the least squares; 0 for less than two samples, and not certain at all for less than three. */
export function hourly(samples: readonly Sample[], of: (sample: Sample) => number): Slope {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const atMean = mean(samples.map(({ atMs }) => atMs));
  const ofMean = mean(samples.map(of));
  let above = 0;
  let below = 0;
  for (const sample of samples) {
    above += (sample.atMs - atMean) * (of(sample) - ofMean);
    below += (sample.atMs - atMean) ** 2;
  }
  const slope = samples.length < 2 ? 0 : above / below;
  let rest = 0;
  for (const sample of samples) rest += (of(sample) - ofMean - slope * (sample.atMs - atMean)) ** 2;
  const error =
    samples.length < 3 ? Number.POSITIVE_INFINITY : Math.sqrt(rest / (samples.length - 2) / below);
  return { perHour: slope * HOUR_MS, error: error * HOUR_MS };
}

/** By how much the last third of the samples is above the first third, by their medians. */
export function growth(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const third = Math.floor(samples.length / 3);
  if (third === 0) return 0;
  const median = (some: readonly Sample[]): number =>
    some.map(of).sort((one, other) => one - other)[Math.floor(some.length / 2)] ?? 0;
  return median(samples.slice(-third)) - median(samples.slice(0, third));
}
