/** Sums up the results of all jobs, and prints them as one table. */

import { ratios, spread } from "./alternate.mjs";

/** @typedef {import("./alternate.mjs").Spread} Spread */
/**
 * @typedef {object} Line
 * @property {string} job
 * @property {string} metric
 * @property {string} unit
 * @property {Record<string, Spread>} figures by contender
 * @property {{ of: string | undefined, limit: string, ratio: Spread, isMet: boolean }[]} targets
 */

/**
 * @param {import("./job.mjs").Job} job
 * @param {Record<string, import("./job.mjs").Figures[]>} results
 * @returns {Line[]}
 */
export function summarise(job, results) {
  const [ours = ""] = Object.keys(results);
  return job.rows.map(({ metric, unit, targets = [] }) => {
    /** @param {string} contender */
    const values = (contender) => (results[contender] ?? []).map((figures) => figures[metric] ?? Number.NaN);
    const measured = Object.keys(results).filter((contender) => values(contender).some(Number.isFinite));
    return {
      job: job.title,
      metric,
      unit,
      figures: Object.fromEntries(measured.map((contender) => [contender, spread(values(contender))])),
      targets: targets.map(({ of, max = Number.POSITIVE_INFINITY, min }) => {
        const ratio = spread(of === undefined ? values(ours) : ratios(values(ours), values(of)));
        const limit = min === undefined ? `<= ${max}` : `>= ${min}`;
        return { of, limit, ratio, isMet: ratio.median <= max && ratio.median >= (min ?? 0) };
      }),
    };
  });
}

const header = ["job", "measured", "ours", "others", "ratio (spread)", "target", ""];

/** @param {readonly Line[]} lines */
export function table(lines) {
  const rows = lines.flatMap((line) => {
    const [ours, ...others] = Object.entries(line.figures);
    const first = [
      line.job,
      `${line.metric}, ${line.unit}`,
      ours ? `${number(ours[1].median)} (${range(ours[1])})` : "",
      others.map(([name, { median }]) => `${name} ${number(median)}`).join(", "),
    ];
    if (line.targets.length === 0) return [[...first, "", "", ""]];
    return line.targets.map(({ of, limit, ratio, isMet }, index) => [
      ...(index === 0 ? first : ["", "", "", ""]),
      of === undefined ? "" : `${number(ratio.median)} (${range(ratio)}) x ${of}`,
      `${limit}${of === undefined ? ` ${line.unit}` : ""}`,
      isMet ? "met" : "missed",
    ]);
  });
  const widths = header.map((_, column) =>
    Math.max(...[header, ...rows].map((row) => (row[column] ?? "").length)),
  );
  /** @param {readonly string[]} row */
  const format = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [format(header), rule, ...rows.map(format)].join("\n");
}

/** @param {Spread} spread */
const range = ({ min, max }) => `${number(min)} to ${number(max)}`;

/** Three digits are more than the spread allows. @param {number} value */
function number(value) {
  if (!Number.isFinite(value)) return "-";
  return value >= 100
    ? value.toFixed(0)
    : value >= 10
      ? value.toFixed(1)
      : String(Number(value.toPrecision(3)));
}
