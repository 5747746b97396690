import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Clock, SdChannels } from "@sd/core";
import { Record } from "../record.js";
import { Latency } from "./latency.js";
import type { OutageClass, Phase } from "./phase.js";

/** So much of what has happened is kept. */
const MAX_LINES = 20_000;
/** What is told of a violation: faults of the time before, and what its subject said. */
const CONTEXT_MS = 40_000;
const MAX_CONTEXT = 60;
/** So many violations are told in full. */
const MAX_TOLD = 10;
/** So many lists are remembered; one is asked for as soon as the oracle has heard of its revision. */
const MAX_LISTS = 5_000;

/** What a soak writes down, in a bounded space: its figures, and the promises that were broken. */
export class Ledger extends Record implements Disposable {
  /** Called with each line of what happens. */
  onNote: (line: string) => void = () => {};
  /** How often each promise was broken, by its name. */
  readonly broken = new Map<string, number>();
  /** Violations in full, with what came before. */
  readonly told: string[] = [];
  /** Whether faults are at work. */
  phase: Phase = "storm";
  /** Since when they are over. */
  healedAt = 0;
  /** From a change in etcd until a discovery has told of it; after faults from their end on, if it is older. */
  readonly delay: { readonly [phase in Phase]: Latency } = {
    storm: new Latency(),
    heal: new Latency(),
    calm: new Latency(),
  };
  /** From a fault until the watch stream that it hit was replaced. */
  readonly halfOpen = new Latency();
  readonly tarpit = new Latency();
  /** From the end of the faults until who had lost its key, or could not be sure of it, was back, by outage. */
  readonly presence: { readonly [outage in OutageClass]: Latency } = {
    short: new Latency(),
    middle: new Latency(),
    long: new Latency(),
  };
  /** … after etcd has lost its history, and their tokens with it. */
  readonly restoration = new Latency();
  /** … and of those who were refused by etcd, which is asked again every 24 to 36 s. */
  readonly readmission = new Latency();
  /** From the end of the faults until a discovery that was wrong was right; and after etcd lost its history. */
  readonly convergence = new Latency();
  readonly reconciliation = new Latency();
  /** From an operator's hand on a key or lease, while all is well, until the key is there again (R8). */
  readonly repair = new Latency();
  /** Leases that etcd has ended though it had renewed them less than a TTL before. */
  endedEarly = 0;
  /** How often discoveries have noticed that etcd's history is another one, and what they kept for a while. */
  epochs = 0;
  /** How often one could not, for it held the same in both by then, and went on. */
  alike = 0;
  retained = 0;

  /** How often a comparison with etcd has led to a list. */
  repairs = 0;
  readonly #lists = new Set<string>();
  readonly #heard: readonly Disposable[];

  constructor(clock: Clock) {
    super(clock);
    this.#heard = [
      on("sd:reflector:listed", ({ prefix, revision }) => this.#listed(prefix, revision)),
      on("sd:reflector:repaired", ({ prefix, finding }) => {
        // No loss yet: a count of the present may be ahead of the watch (see `compareAnchor()`).
        this.note(prefix, `listed again: ${finding}`);
        this.repairs += 1;
      }),
      on("sd:epoch:begun", ({ prefix, reason }) => this.note(prefix, `a new epoch: ${reason}`)),
      on("sd:watch:violated", ({ violation, endpoint }) => this.note("etcd", `${endpoint}: ${violation}`)),
    ];
  }

  /** Whether somebody has listed `prefix` at `revision`. */
  wasListed(prefix: string, revision: number): boolean {
    return this.#lists.has(`${prefix}@${revision}`);
  }

  /** A discovery has told at `at` of what had happened at `happenedAt`. */
  seen(happenedAt: number, at: number): void {
    const phase = at < this.healedAt ? "storm" : this.phase;
    this.delay[phase].add(at - (phase === "heal" ? Math.max(happenedAt, this.healedAt) : happenedAt));
  }

  [Symbol.dispose](): void {
    for (const each of this.#heard) each[Symbol.dispose]();
  }

  override note(subject: string, text: string): void {
    super.note(subject, text);
    this.onNote(this.log.at(-1) as string);
    if (this.log.length > MAX_LINES) this.log.splice(0, MAX_LINES / 2);
  }

  override blame(invariant: string, subject: string, text: string): void {
    super.blame(invariant, subject, text);
    this.broken.set(invariant, (this.broken.get(invariant) ?? 0) + 1);
    if (this.told.length >= MAX_TOLD) return;
    const lines = this.log.filter((line) => {
      const [at, who] = line.split(" ", 2);
      return Number(at) > this.now - CONTEXT_MS && (who === "fault" || who === subject);
    });
    this.told.push(
      [
        `${invariant} ${subject} at ${this.now.toFixed(0)} ms: ${text}`,
        ...lines.slice(-MAX_CONTEXT).map((line) => `    ${line}`),
      ].join("\n"),
    );
  }

  #listed(prefix: string, revision: number): void {
    this.#lists.add(`${prefix}@${revision}`);
    if (this.#lists.size <= MAX_LISTS) return;
    for (const oldest of this.#lists) {
      this.#lists.delete(oldest);
      return;
    }
  }

  /** How often promises were broken whose names begin with one of these. */
  count(...names: readonly string[]): number {
    let sum = 0;
    for (const [name, count] of this.broken) if (names.some((each) => name.startsWith(each))) sum += count;
    return sum;
  }
}

function on<Name extends keyof SdChannels>(
  name: Name,
  hear: (payload: SdChannels[Name]) => void,
): Disposable {
  const listener = (payload: unknown): void => hear(payload as SdChannels[Name]);
  subscribe(name, listener);
  return { [Symbol.dispose]: () => void unsubscribe(name, listener) };
}
