import type { Figures } from "./figures.js";

/** The figures as lines of text. */
export function table(all: Figures): string[] {
  const width = Math.max(...rowsOf(all).map(([name]) => name.length)) + 2;
  return rowsOf(all).map(([name, value]) => `${name.padEnd(width)}${value}`);
}

/** The figures as names and values. */
function rowsOf(all: Figures): readonly (readonly [string, string | number])[] {
  const { faults, broken, back, delay, memory } = all;
  const { sum, ...kinds } = faults as Record<string, number>;
  const list = (counts: Record<string, number>): string =>
    Object.entries(counts)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(", ") || "none";
  return [
    ["etcd, node", `${all.versions["etcd"]} (${all.members} members), ${all.versions["node"]}`],
    ["run", `${all.date}, ${all.minutes} minutes, seed ${all.seed}, load ${all.load}`],
    ["faults", `${sum}: ${list(kinds)}`],
    ["compactions", all.compactions],
    ["events of etcd", all.etcdEvents],
    ["events checked", `${all.eventsChecked} one by one, ${all.listsChecked} differences of lists`],
    ["events not checked", `${all.unchecked} messages of a history that was lost meanwhile`],
    ["lists after a comparison", all.repairs],
    [
      "new epochs noticed",
      `${all.epochs}, ${all.retained} entries kept for a while; ${all.alike} could not be told apart`,
    ],
    ["snapshots checked", all.snapshotsChecked],
    ["requests, states of registrations", `${all.requestsChecked}, ${all.registrationsChecked}`],
    ["lost, duplicated, reordered, split", `${all.lost}, ${all.duplicated}, ${all.reordered}, ${all.split}`],
    ["wrong states, empty flaps", `${all.wrongStates}, ${all.emptyFlaps}`],
    ["foreign deletes, foreign writes", `${all.foreignDeletes}, ${all.foreignWrites}`],
    ["needless writes, orphan keys", `${all.needlessWrites}, ${all.orphans}`],
    ["leases that etcd ended before their time", all.endedEarly],
    ["registered after up to 1 TTL", times(back.short)],
    ["registered after 1 to 3 TTLs", times(back.middle)],
    ["registered after longer", times(back.long)],
    ["registered after a lost history", times(all.restored)],
    ["back after a refusal", times(all.readmitted)],
    ["put back after a delete or revoke", times(all.repaired)],
    ["right again after heal", times(all.converged)],
    ["right again after a lost history", times(all.reconciled)],
    ["half-open link replaced", times(all.halfOpenReplaced)],
    ["tarpit left", times(all.tarpitLeft)],
    ["change seen, while calm", times(delay.calm)],
    ["change seen, under faults", times(delay.storm)],
    ["change seen, after heal", times(delay.heal)],
    ["RSS after gc", growthOf(memory.rss)],
    ["heap after gc", growthOf(memory.heap)],
    ["heap of V8, used or not", growthOf(memory.committed)],
    ["RSS without that", growthOf(memory.native)],
    ["buffers", growthOf(memory.external)],
    ["connections", `${spread(all.connections)} of ${all.mostConnections} at most`],
    ["handles", spread(all.handles)],
    ["timers", spread(all.timers)],
    ["listeners", spread(all.listeners)],
    ["violations", list(broken)],
    ...all.gates.map(
      ({ name, value, limit, isKept }) =>
        [`gate: ${name}`, `${value} (${limit}): ${isKept ? "kept" : "MISSED"}`] as const,
    ),
  ];
}

/** `-` for nothing measured. */
export function times(figures: Figures["repaired"]): string {
  if (!figures) return "-";
  const { p50, p99, max, count } = figures;
  return `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (${count})`;
}

function growthOf({ samples, perHour, error }: Figures["memory"]["rss"]): string {
  return `${samples[0] ?? 0} to ${samples.at(-1) ?? 0} MiB, ${perHour} ± ${error ?? "?"} MiB an hour after the first third`;
}

function spread(values: readonly number[]): string {
  return `${values[0] ?? 0} to ${values.at(-1) ?? 0} (${Math.min(...values)} … ${Math.max(...values)})`;
}
