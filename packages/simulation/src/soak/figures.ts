import { conditions } from "../conditions.js";
import { gates } from "./gates.js";
import type { Ledger } from "./ledger.js";
import { growth, hourly, type Sample } from "./resources.js";
import type { Scene } from "./scene.js";

/** More than that in the later part of a run is a leak: what is measured varies by so much by itself. */
const MAX_HEAP_GROWTH = 12 * 2 ** 20;
const MAX_HANDLES_GROWTH = 40;
/** A client's socket, and the proxy's two. */
const HANDLES_OF_CONNECTION = 3;
const MAX_TIMERS_GROWTH = 40;

interface Seen {
  readonly etcd: string;
  readonly seed: number;
  readonly members: number;
  readonly isSecure: boolean;
  readonly ledger: Ledger;
  readonly scene: Scene;
  readonly samples: readonly Sample[];
}

export type Figures = ReturnType<typeof figures>;

/** The figures of a run, for a table and for machines. Times in milliseconds, memory in MiB. */
export function figures({ etcd, seed, members, isSecure, ledger, scene, samples }: Seen) {
  checkGrowth(ledger, samples);
  const { totals } = ledger;
  const faults = Object.fromEntries([...totals.faults].sort(([one], [other]) => (one < other ? -1 : 1)));
  // At first Node takes what it needs; that is no slope.
  const later = samples.slice(Math.floor(samples.length / 3));
  const slope = (of: (sample: Sample) => number) => {
    const { perHour, error } = hourly(later, of);
    return { perHour: mib(perHour), error: Number.isFinite(error) ? mib(error) : undefined };
  };
  const all = {
    ...conditions("soak", { etcd }),
    seed,
    members,
    isSecure,
    minutes: Math.round(ledger.now / 6_000) / 10,
    faults: { sum: Object.values(faults).reduce((sum, count) => sum + count, 0), ...faults },
    compactions: scene.traffic.compactions,
    etcdEvents: scene.oracle.count,
    eventsChecked: totals.events,
    listsChecked: totals.lists,
    snapshotsChecked: totals.snapshots,
    unchecked: scene.oracle.dropped,
    requestsChecked: totals.requests,
    registrationsChecked: totals.registrations,
    endedEarly: ledger.endedEarly,
    epochs: ledger.epochs,
    alike: ledger.alike,
    retained: ledger.retained,
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
    back: {
      short: ledger.presence.short.figures,
      middle: ledger.presence.middle.figures,
      long: ledger.presence.long.figures,
    },
    restored: ledger.restoration.figures,
    readmitted: ledger.readmission.figures,
    converged: ledger.convergence.figures,
    reconciled: ledger.reconciliation.figures,
    repaired: ledger.repair.figures,
    halfOpenReplaced: ledger.halfOpen.figures,
    tarpitLeft: ledger.tarpit.figures,
    delay: {
      calm: ledger.delay.calm.figures,
      storm: ledger.delay.storm.figures,
      heal: ledger.delay.heal.figures,
    },
    memory: {
      rss: { samples: samples.map(({ rss }) => mib(rss)), ...slope(({ rss }) => rss) },
      heap: { samples: samples.map(({ heap }) => mib(heap)), ...slope(({ heap }) => heap) },
      committed: {
        samples: samples.map(({ committed }) => mib(committed)),
        ...slope(({ committed }) => committed),
      },
      native: {
        samples: samples.map(({ rss, committed }) => mib(rss - committed)),
        ...slope(({ rss, committed }) => rss - committed),
      },
      external: {
        samples: samples.map(({ external }) => mib(external)),
        ...slope(({ external }) => external),
      },
    },
    connections: samples.map(({ connections }) => connections),
    mostConnections: scene.mostConnections,
    handles: samples.map(({ handles }) => handles),
    timers: samples.map(({ timers }) => timers),
    listeners: samples.map(({ listeners }) => listeners),
    violations: ledger.told,
  };
  return { ...all, gates: gates(all) };
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 18) / 4;
}

function checkGrowth(ledger: Ledger, samples: readonly Sample[]): void {
  const heap = growth(samples, (each) => each.heap);
  if (heap > MAX_HEAP_GROWTH) ledger.blame("memory", "process", `the heap has grown by ${heap} bytes`);
  // How many connections there may be is a gate of its own.
  const handles = growth(samples, (each) => each.handles - HANDLES_OF_CONNECTION * each.connections);
  if (handles > MAX_HANDLES_GROWTH)
    ledger.blame("handles", "process", `${handles} more than at first, those of connections apart`);
  const timers = growth(samples, (each) => each.timers);
  if (timers > MAX_TIMERS_GROWTH) ledger.blame("timers", "process", `${timers} more than at first`);
  const listeners = growth(samples, (each) => each.listeners);
  if (listeners > 0) ledger.blame("listeners", "process", `${listeners} more than at first`);
}
