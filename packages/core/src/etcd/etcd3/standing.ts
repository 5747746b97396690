import type { Clock } from "../../kit/clock.js";

/**
 * After so long a failed attempt to connect is a doubt like any other: the member may be back, and of one that just
 * fell silent we know that it is not there.
 */
const UNREACHABLE_MS = 10_000;

/** What is held against a member. */
export class Standing {
  readonly #clock: Pick<Clock, "now">;
  #troubledAt: number | undefined;
  #unreachableAt: number | undefined;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** It has answered: all is forgotten. */
  answered(): void {
    this.#troubledAt = undefined;
    this.#unreachableAt = undefined;
  }

  /** It gave cause for doubt, and is asked last from now on, until it answers. */
  suspected(): void {
    this.#troubledAt = this.#clock.now();
  }

  /** No connection could be made: worse than one that broke. */
  unreachable(): void {
    this.suspected();
    this.#unreachableAt = this.#troubledAt;
  }

  /**
   * Who is asked first: below 0 if this one. Those in good standing; then those in doubt, the longest ago first;
   * then those that could not be reached lately.
   */
  compare(other: Standing): number {
    const [mine, its] = [this.#isUnreachable, other.#isUnreachable];
    if (mine !== its) return mine ? 1 : -1;
    return (this.#troubledAt ?? Number.MIN_SAFE_INTEGER) - (other.#troubledAt ?? Number.MIN_SAFE_INTEGER);
  }

  get #isUnreachable(): boolean {
    return this.#unreachableAt !== undefined && this.#clock.now() - this.#unreachableAt < UNREACHABLE_MS;
  }
}
