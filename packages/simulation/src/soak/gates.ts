import type { Latency } from "./latency.js";

/** One promise with a number: a run that misses it fails. */
export interface Gate {
  readonly name: string;
  /** Or why there is none. */
  readonly value: number | string;
  readonly limit: string;
  readonly isKept: boolean;
}

type Times = Latency["figures"];

/** What gates look at. */
interface Measured {
  readonly minutes: number;
  readonly eventsChecked: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly split: number;
  readonly wrongStates: number;
  readonly emptyFlaps: number;
  readonly foreignDeletes: number;
  readonly foreignWrites: number;
  readonly needlessWrites: number;
  readonly orphans: number;
  readonly broken: Readonly<Record<string, number>>;
  readonly back: Readonly<Record<"short" | "middle" | "long", Times>>;
  readonly converged: Times;
  readonly halfOpenReplaced: Times;
  readonly tarpitLeft: Times;
  readonly delay: Readonly<Record<"calm" | "heal", Times>>;
  /** While all was at rest; and how many there may be. */
  readonly connections: readonly number[];
  readonly mostConnections: number;
  readonly memory: Readonly<Record<"rss" | "heap", Slope>>;
}

/** In MiB an hour, and its standard error, if there are samples enough. */
interface Slope {
  readonly perHour: number;
  readonly error: number | undefined;
}

/** What 30 minutes must check; less time, less. */
const EVENTS_A_MINUTE = 200_000 / 30;
/** The heap holds what the soak itself notes, too: 5 to 7 an hour were measured. */
const SLOPE_MIB = { rss: 1, heap: 10 };
/** A slope of a shorter time says nothing: what Node and malloc keep goes up and down by megabytes. */
const SLOPE_MINUTES = 20;
/** A percentile of fewer is only their maximum. */
const MIN_COUNT = 20;
/** A run of this length has so many of each, or something is wrong with it. */
const COUNT_MINUTES = 20;

/** Those that a run of this length can speak of. Published limits, in milliseconds but for counts. */
export function gates(all: Measured): Gate[] {
  const none = (name: string, value: number): Gate => ({ name, value, limit: "0", isKept: value === 0 });
  const p99 = (name: string, times: Times, limitMs: number, isRare = false): Gate => {
    const limit = `at most ${limitMs}`;
    if (times && times.count >= MIN_COUNT)
      return { name, value: times.p99, limit, isKept: times.p99 <= limitMs };
    const value = `too few samples: ${times?.count ?? 0} of ${MIN_COUNT}`;
    return { name, value, limit, isKept: isRare || all.minutes < COUNT_MINUTES };
  };
  const connections = Math.max(...all.connections);
  const events = Math.round(EVENTS_A_MINUTE * all.minutes);
  // What the samples' scatter explains is no growth.
  const slope = (name: string, { perHour, error }: Slope, limit: number): Gate[] => {
    if (error === undefined || all.minutes < SLOPE_MINUTES) return [];
    const least = perHour - 2 * error;
    const value = Math.round(least * 100) / 100;
    return [
      {
        ...{ name: `${name}, MiB an hour, less two standard errors`, value },
        ...{ limit: `below ${limit}`, isKept: least < limit },
      },
    ];
  };
  return [
    {
      name: "events checked",
      value: all.eventsChecked,
      limit: `at least ${events}`,
      isKept: all.eventsChecked >= events,
    },
    none("events lost", all.lost),
    none("events duplicated", all.duplicated),
    none("events reordered", all.reordered),
    none("revisions split", all.split),
    none("wrong states", all.wrongStates),
    none("empty flaps", all.emptyFlaps),
    none("foreign deletes and writes", all.foreignDeletes + all.foreignWrites),
    none("needless writes", all.needlessWrites),
    none("orphan keys", all.orphans),
    none(
      "promises broken in all",
      Object.values(all.broken).reduce((sum, count) => sum + count, 0),
    ),
    p99("change seen while calm, p99 ms", all.delay.calm, 50),
    p99("change seen after heal, p99 ms", all.delay.heal, 6_000),
    // Of so short an outage hardly anybody notices.
    p99("registered after up to 1 TTL, p99 ms", all.back.short, 6_000, true),
    p99("registered after 1 to 3 TTLs, p99 ms", all.back.middle, 6_000),
    p99("registered after longer, p99 ms", all.back.long, 6_000),
    p99("right again after heal, p99 ms", all.converged, 6_000),
    p99("half-open link replaced, p99 ms", all.halfOpenReplaced, 8_000),
    p99("tarpit left, p99 ms", all.tarpitLeft, 5_000),
    {
      name: "connections at rest, one for each client, purpose and member",
      value: connections,
      limit: `at most ${all.mostConnections}`,
      isKept: connections <= all.mostConnections,
    },
    ...slope("heap slope", all.memory.heap, SLOPE_MIB.heap),
    ...slope("RSS slope", all.memory.rss, SLOPE_MIB.rss),
  ];
}
