import process from "node:process";
import type { Ledger } from "./ledger.js";
import { growth, hourly, type Sample } from "./resources.js";
import type { Scene } from "./scene.js";

/** More than that in the later part of a run is a leak: what is measured varies by so much by itself. */
const MAX_HEAP_GROWTH = 12 * 2 ** 20;
const MAX_HANDLES_GROWTH = 40;

interface Seen {
  readonly etcd: string;
  readonly seed: number;
  readonly members: number;
  readonly ledger: Ledger;
  readonly scene: Scene;
  readonly samples: readonly Sample[];
}

export type Figures = ReturnType<typeof figures>;

/** The figures of a run, for a table and for machines. Times in milliseconds, memory in MiB. */
export function figures({ etcd, seed, members, ledger, scene, samples }: Seen) {
  checkGrowth(ledger, samples);
  const { totals } = ledger;
  const faults = Object.fromEntries([...totals.faults].sort(([one], [other]) => (one < other ? -1 : 1)));
  // At first Node takes what it needs; that is no slope.
  const later = samples.slice(Math.floor(samples.length / 3));
  const mib = (bytes: number): number => Math.round(bytes / 2 ** 18) / 4;
  return {
    // biome-ignore lint/style/noRestrictedGlobals: the day of a run is no duration
    date: new Date().toISOString(),
    versions: { etcd, node: process.version },
    seed,
    members,
    minutes: Math.round(ledger.now / 6_000) / 10,
    faults: { sum: Object.values(faults).reduce((sum, count) => sum + count, 0), ...faults },
    compactions: scene.traffic.compactions,
    etcdEvents: scene.oracle.count,
    eventsChecked: totals.events,
    listsChecked: totals.lists,
    snapshotsChecked: totals.snapshots,
    requestsChecked: totals.requests,
    repairs: ledger.repairs,
    lost: ledger.count("D3 lost"),
    duplicated: ledger.count("D3 duplicated"),
    reordered: ledger.count("D3 reordered", "D2"),
    split: ledger.count("D4"),
    wrongStates: ledger.count("D1 "),
    emptyFlaps: ledger.count("D11"),
    foreignDeletes: ledger.count("R3"),
    foreignWrites: ledger.count("R2"),
    needlessWrites: ledger.count("R14"),
    orphans: ledger.count("R4", "R9"),
    broken: Object.fromEntries(ledger.broken),
    back: ledger.presence.figures,
    converged: ledger.convergence.figures,
    halfOpenReplaced: ledger.halfOpen.figures,
    tarpitLeft: ledger.tarpit.figures,
    calmDelay: ledger.calmDelay.figures,
    stormDelay: ledger.stormDelay.figures,
    rssFirst: mib(samples[0]?.rss ?? 0),
    rssLast: mib(samples.at(-1)?.rss ?? 0),
    rssPerHour: mib(hourly(later, ({ rss }) => rss)),
    heapFirst: mib(samples[0]?.heap ?? 0),
    heapLast: mib(samples.at(-1)?.heap ?? 0),
    heapPerHour: mib(hourly(later, ({ heap }) => heap)),
    externalFirst: mib(samples[0]?.external ?? 0),
    externalLast: mib(samples.at(-1)?.external ?? 0),
    handles: samples.map(({ handles }) => handles),
    listeners: samples.map(({ listeners }) => listeners),
    violations: ledger.told,
  };
}

function checkGrowth(ledger: Ledger, samples: readonly Sample[]): void {
  const heap = growth(samples, (each) => each.heap);
  if (heap > MAX_HEAP_GROWTH) ledger.blame("memory", "process", `the heap has grown by ${heap} bytes`);
  const handles = growth(samples, (each) => each.handles);
  if (handles > MAX_HANDLES_GROWTH) ledger.blame("handles", "process", `${handles} more than at first`);
  const listeners = growth(samples, (each) => each.listeners);
  if (listeners > 0) ledger.blame("listeners", "process", `${listeners} more than at first`);
}

/** The figures as lines of text. */
export function table(all: Figures): string[] {
  const { faults, broken } = all;
  const { sum, ...kinds } = faults as Record<string, number>;
  const rows: readonly (readonly [string, string | number])[] = [
    ["etcd, node", `${all.versions.etcd} (${all.members} members), ${all.versions.node}`],
    ["run", `${all.date}, ${all.minutes} minutes, seed ${all.seed}`],
    [
      "faults",
      `${sum}: ${Object.entries(kinds)
        .map(([kind, count]) => `${kind} ${count}`)
        .join(", ")}`,
    ],
    ["compactions", all.compactions],
    ["events of etcd", all.etcdEvents],
    ["events checked", `${all.eventsChecked} one by one, ${all.listsChecked} differences of lists`],
    ["lists after a comparison", all.repairs],
    ["snapshots checked", all.snapshotsChecked],
    ["requests checked", all.requestsChecked],
    ["lost, duplicated, reordered, split", `${all.lost}, ${all.duplicated}, ${all.reordered}, ${all.split}`],
    ["wrong states, empty flaps", `${all.wrongStates}, ${all.emptyFlaps}`],
    ["foreign deletes, foreign writes", `${all.foreignDeletes}, ${all.foreignWrites}`],
    ["needless writes, orphan keys", `${all.needlessWrites}, ${all.orphans}`],
    ["registered again after heal", times(all.back)],
    ["right again after heal", times(all.converged)],
    ["half-open link replaced", times(all.halfOpenReplaced)],
    ["tarpit left", times(all.tarpitLeft)],
    ["change seen, while calm", times(all.calmDelay)],
    ["change seen, under faults", times(all.stormDelay)],
    ["RSS", `${all.rssFirst} to ${all.rssLast} MiB, ${all.rssPerHour} MiB an hour after the first third`],
    [
      "heap after gc",
      `${all.heapFirst} to ${all.heapLast} MiB, ${all.heapPerHour} MiB an hour after the first third`,
    ],
    ["outside of the heap", `${all.externalFirst} to ${all.externalLast} MiB`],
    ["handles", spread(all.handles)],
    ["listeners", spread(all.listeners)],
    [
      "violations",
      Object.entries(broken)
        .map(([name, count]) => `${name}: ${count}`)
        .join(", ") || "none",
    ],
  ];
  return rows.map(([name, value]) => `${name.padEnd(36)}${value}`);
}

function times(figures: Figures["back"]): string {
  if (!figures) return "-";
  const { p50, p99, max, count } = figures;
  return `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${count})`;
}

function spread(values: readonly number[]): string {
  return `${values[0] ?? 0} to ${values.at(-1) ?? 0} (${Math.min(...values)} … ${Math.max(...values)})`;
}
