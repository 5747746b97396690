/** A promise that was broken: its number in the contract, who broke it, when (virtual), and how. */
export interface Violation {
  readonly invariant: string;
  readonly subject: string;
  readonly at: number;
  readonly text: string;
}

/** What one run, or many, have seen. */
export class Totals {
  seeds = 0;
  virtualMs = 0;
  /** Events of the store. */
  storeEvents = 0;
  /** Events that a discovery told one by one, compared with the store's. */
  events = 0;
  /** Differences that a discovery told after a list, compared with the store's states. */
  lists = 0;
  /** States of discoveries compared with the store's at their revision. */
  snapshots = 0;
  /** Starts from a cache file. */
  restored = 0;
  /** Requests of registrations and discoveries that were looked at. */
  requests = 0;
  /** States of registrations that were looked at. */
  registrations = 0;
  readonly faults = new Map<string, number>();
  /** From the end of the faults until a key was there again, in milliseconds, one for each key. */
  readonly presenceMs: number[] = [];
  /** From the end of the faults until a discovery was right, and live. */
  readonly convergenceMs: number[] = [];

  fault(name: string): void {
    this.faults.set(name, (this.faults.get(name) ?? 0) + 1);
  }

  add(other: Totals): void {
    this.seeds += other.seeds;
    this.virtualMs += other.virtualMs;
    this.storeEvents += other.storeEvents;
    this.events += other.events;
    this.lists += other.lists;
    this.snapshots += other.snapshots;
    this.restored += other.restored;
    this.requests += other.requests;
    this.registrations += other.registrations;
    for (const [name, count] of other.faults) this.faults.set(name, (this.faults.get(name) ?? 0) + count);
    this.presenceMs.push(...other.presenceMs);
    this.convergenceMs.push(...other.convergenceMs);
  }

  /** The figures for machines; times in milliseconds. */
  get figures() {
    const { faults, presenceMs, convergenceMs, ...counts } = this;
    return {
      ...counts,
      faults: Object.fromEntries([...faults].sort(([one], [other]) => (one < other ? -1 : 1))),
      back: summary(presenceMs),
      converged: summary(convergenceMs),
    };
  }

  /** The figures as lines of text. */
  lines(): string[] {
    const faults = [...this.faults].sort(([one], [other]) => (one < other ? -1 : 1));
    const sum = faults.reduce((total, [, count]) => total + count, 0);
    return [
      `virtual time             ${(this.virtualMs / 3_600_000).toFixed(1)} h`,
      `faults                   ${sum}`,
      ...faults.map(([name, count]) => `  ${name.padEnd(22)} ${count}`),
      `requests checked         ${this.requests}`,
      `events checked           ${this.events} one by one, ${this.lists} differences of lists`,
      `snapshots checked        ${this.snapshots}, ${this.restored} of them from cache files`,
      `registrations checked    ${this.registrations} states`,
      `back after the faults    ${percentiles(this.presenceMs)}`,
      `right after the faults   ${percentiles(this.convergenceMs)}`,
    ];
  }
}

function percentiles(values: readonly number[]): string {
  const figures = summary(values);
  if (!figures) return "-";
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;
  const { p50, p99, max, count } = figures;
  return `p50 ${seconds(p50)}, p99 ${seconds(p99)}, max ${seconds(max)} (${count})`;
}

/** `undefined` for none. */
function summary(values: readonly number[]) {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((one, other) => one - other);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: values.length };
}
