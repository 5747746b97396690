/** Figures of one run as a section of docs/reliability.md. */

/**
 * What all commands write, besides their own figures.
 *
 * @typedef {{ command: string, date: string, versions: Record<string, string>, cores: number, load: number } &
 *   Record<string, any>} Run
 */
/** @typedef {{ p50: number, p99: number, max: number, count: number } | undefined} Times in milliseconds */

/** @type {Readonly<Record<string, readonly [title: string, rows: (run: Run) => string[]]>>} */
const sections = {
  simulate: ["Simulation", simulation],
  "bug-zoo": ["Bug zoo", zoo],
  compare: ["Beside the package etcd3", comparison],
  soak: ["Soak", soak],
};

/**
 * What a run is filed under: the sections of the document are in the order of these names.
 *
 * @param {Run} run
 * @throws Error if no command of ours has written it
 */
export function sectionName(run) {
  const name = /^npm run ([\w-]+)/.exec(run.command ?? "")?.[1] ?? "";
  if (!Object.hasOwn(sections, name)) {
    throw new Error(`command must be of ${Object.keys(sections).join(", ")}, got ${run.command}`);
  }
  return run["isSecure"] === true ? `${name}-secure` : name;
}

/** @param {Run} run */
export function section(run) {
  const name = sectionName(run);
  const [title, rows] = sections[name.replace("-secure", "")] ?? ["", () => []];
  const versions = Object.entries(run.versions).map(([what, version]) =>
    version.startsWith(what) ? version : `${what} ${version}`,
  );
  return [
    `### ${title}${name.endsWith("-secure") ? ", with TLS and users" : ""}`,
    "",
    `\`${run.command}\`, ${run.date.slice(0, 10)}; ${versions.join(", ")}; ${run.cores} cores, load ${run.load} at its end.`,
    "",
    ...rows(run),
    "",
  ].join("\n");
}

/** @param {Run} run */
function simulation(run) {
  return table([
    ["figure", "value"],
    ["seeds", `${count(run["seeds"])}, ${run["seedsPerSecond"]} a second`],
    [
      "faults",
      `${count(sum(run["faults"]))} of ${Object.keys(run["faults"]).length} kinds, in ${(run["virtualMs"] / 3_600_000).toFixed(1)} virtual hours`,
    ],
    ["requests checked", count(run["requests"])],
    ["events checked", `${count(run["events"])} one by one, and ${count(run["lists"])} differences of lists`],
    ["snapshots checked against the store", count(run["snapshots"])],
    ["registrations: states checked", count(run["registrations"])],
    ["registrations back after the faults", times(run["back"])],
    ["discoveries right after the faults", times(run["converged"])],
    ["heap after garbage collection, MiB, in the course of the run", run["heapMib"].join(", ")],
    ["RSS, MiB", run["rssMib"].join(", ")],
    ["seeds with a violation", count(run["failed"].length)],
  ]);
}

/** @param {Run} run */
function zoo(run) {
  const results = /** @type {Record<string, any>[]} */ (run["results"]);
  return [
    `${run["found"]} of ${results.length} planted mistakes are found.`,
    "",
    ...table([
      ["mistake", "promise that is seen broken", "seeds until then"],
      ...results.map((each) => [each["name"], each["caughtBy"] ?? "not found", `${each["seeds"] ?? "-"}`]),
    ]),
  ];
}

/** @param {Run} run */
function comparison(run) {
  /** @param {string} part @param {(result: Record<string, any>) => string[]} cells */
  const rows = (part, cells) =>
    Object.entries(/** @type {Record<string, Record<string, any>[]>} */ (run[part])).flatMap(
      ([what, results]) => results.map((each) => [what, each["library"], ...cells(each)]),
    );
  return [
    ...table([
      ["a watch", "library", "events", "not told", "told twice", "keys wrong at the end", "right after"],
      ...rows("watches", (each) => [
        count(each["events"]),
        each["wrongKeys"] === 0 && each["untold"] > 0
          ? `0 (${count(each["untold"])} in the difference of a list)`
          : count(each["untold"]),
        count(each["twice"]),
        count(each["wrongKeys"]),
        after(each["rightAfterMs"]),
      ]),
    ]),
    "",
    ...table([
      ["a key under a lease", "library", "writes", "of them needless", "times gone", "there after"],
      ...rows("leases", (each) => [
        count(each["writes"]),
        count(each["needless"]),
        count(each["deletes"]),
        after(each["thereAfterMs"]),
      ]),
    ]),
  ];
}

/** @param {Run} run */
function soak(run) {
  const { sum: all, ...faults } = run["faults"];
  const { back, delay, memory } = run;
  return [
    ...table([
      ["figure", "value"],
      ["length", `${run["minutes"]} minutes, ${run["members"]} members`],
      [
        "faults",
        `${count(all)} of ${Object.keys(faults).length} kinds, and ${count(run["compactions"])} compactions`,
      ],
      [
        "events checked",
        `${count(run["eventsChecked"])} one by one, and ${count(run["listsChecked"])} differences of lists`,
      ],
      [
        "lost, duplicated, reordered, split",
        [run["lost"], run["duplicated"], run["reordered"], run["split"]].map(count).join(", "),
      ],
      ["snapshots checked, wrong ones", `${count(run["snapshotsChecked"])}, ${count(run["wrongStates"])}`],
      ["empty flaps", count(run["emptyFlaps"])],
      [
        "new epochs noticed; not told apart, for both histories held the same by then",
        `${count(run["epochs"])}, with ${count(run["retained"])} entries kept for a while; ${count(run["alike"])}`,
      ],
      ["needless writes", count(run["needlessWrites"])],
      ["orphan keys", count(run["orphans"])],
      ["foreign deletes, foreign writes", `${count(run["foreignDeletes"])}, ${count(run["foreignWrites"])}`],
      ["leases that etcd ended before their time", count(run["endedEarly"])],
      ["a change is seen, while all is well", times(delay.calm)],
      ["… under faults", times(delay.storm)],
      ["… after faults, from their end on", times(delay.heal)],
      ["registered again after an outage of up to 1 TTL", times(back.short)],
      ["… of 1 to 3 TTLs", times(back.middle)],
      ["… of more", times(back.long)],
      ["back after rights were given back", times(run["readmitted"])],
      ["key put back that an operator deleted, or its lease revoked", times(run["repaired"])],
      ["discoveries right again after faults", times(run["converged"])],
      ["… after a lost history", times(run["reconciled"])],
      ["half-open link replaced", times(run["halfOpenReplaced"])],
      ["tarpit left", times(run["tarpitLeft"])],
      ["RSS", growth(memory.rss)],
      ["heap", growth(memory.heap)],
      [
        "handles, timers, listeners",
        ["handles", "timers", "listeners"].map((what) => range(run[what])).join("; "),
      ],
      ["promises broken", count(sum(run["broken"]))],
    ]),
    "",
    `Faults: ${Object.entries(faults)
      .map(([kind, times]) => `${kind} ${times}`)
      .join(", ")}.`,
    "",
    ...table([
      ["gate", "limit", "value", ""],
      ...run["gates"].map((/** @type {Record<string, any>} */ each) => [
        each["name"],
        each["limit"],
        count(each["value"]),
        each["isKept"] ? "kept" : "**missed**",
      ]),
    ]),
  ];
}

/** @param {string[][]} rows the first one is the head */
function table([head = [], ...rows]) {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
}

/** @param {number} value */
function count(value) {
  return value.toLocaleString("en-US");
}

/** @param {Record<string, number>} counts */
function sum(counts) {
  return Object.values(counts).reduce((total, each) => total + each, 0);
}

/** @param {Times} measured */
function times(measured) {
  if (!measured) return "not measured";
  const { p50, p99, max } = measured;
  return `p50 ${duration(p50)}, p99 ${duration(p99)}, max ${duration(max)} (${count(measured.count)})`;
}

/** @param {number} ms */
function duration(ms) {
  return ms < 1_000 ? `${Math.round(ms * 10) / 10} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

/** @param {number | undefined} ms */
function after(ms) {
  return ms === undefined ? "never" : duration(ms);
}

/** @param {{ samples: number[], perHour: number, error?: number }} grown */
function growth({ samples, perHour, error }) {
  return `${samples[0]} to ${samples.at(-1)} MiB; after the first third ${perHour} ± ${error ?? "?"} MiB an hour`;
}

/** @param {number[]} values */
function range(values) {
  return `${values[0]} to ${values.at(-1)} (${Math.min(...values)} to ${Math.max(...values)})`;
}
