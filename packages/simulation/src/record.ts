import type { Clock } from "@sd/core";
import { Totals, type Violation } from "./report.js";

/** Enough to see what is wrong. */
const MAX_VIOLATIONS = 20;

/** What one run writes down: its log, its figures, and the promises that were broken. */
export class Record {
  readonly log: string[] = [];
  readonly violations: Violation[] = [];
  readonly totals = new Totals();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get now(): number {
    return this.#clock.now();
  }

  note(subject: string, text: string): void {
    this.log.push(`${this.#clock.now().toFixed(3)} ${subject} ${text}`);
  }

  /** Promise `invariant` of the contract does not hold. */
  blame(invariant: string, subject: string, text: string): void {
    this.note(subject, `VIOLATES ${invariant}: ${text}`);
    if (this.violations.length < MAX_VIOLATIONS)
      this.violations.push({ invariant, subject, at: this.#clock.now(), text });
  }
}
