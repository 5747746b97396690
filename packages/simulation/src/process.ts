import type { Clock, Timer } from "@sd/core";

interface Waiting {
  readonly isTimer: boolean;
  readonly step: () => void;
}

/**
 * A process as its operating system sees it: it runs, stands still, or is dead.
 *
 * Its own timers, and whatever comes in by `run()`, wait while it stands; when it goes on they come one after
 * the other, at once, each followed by the promises that it settles. Its time goes on meanwhile, as the
 * monotonic clock of a stopped process does.
 */
export class Process implements Clock {
  readonly name: string;
  readonly #world: Clock;
  #status: "running" | "paused" | "dead" = "running";
  #isBuried = false;
  readonly #waiting: Waiting[] = [];
  #pausedAt = 0;
  /** When it last stood still, until now if it does; -1 for never. */
  #lastPause = -1;

  constructor(name: string, world: Clock) {
    this.name = name;
    this.#world = world;
  }

  get status(): "running" | "paused" | "dead" {
    return this.#status;
  }

  /** Whether all that came in so far has been seen to. */
  get isUpToDate(): boolean {
    return this.#status === "running" && this.#waiting.length === 0;
  }

  now(): number {
    return this.#world.now();
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    let isOver = false;
    const timer = this.#world.setTimer(delayMs, () =>
      this.#take(true, () => {
        if (!isOver) fire();
      }),
    );
    return {
      [Symbol.dispose]: () => {
        isOver = true;
        timer[Symbol.dispose]();
      },
    };
  }

  /** Does `step` now, or once the process goes on; never if it is dead. */
  run(step: () => void): void {
    this.#take(false, step);
  }

  pause(): void {
    if (this.#status !== "running") return;
    this.#status = "paused";
    this.#pausedAt = this.#world.now();
  }

  /** @param timersFirst as Node does after a SIGCONT; else in the order of arrival. */
  resume(timersFirst: boolean): void {
    if (this.#status !== "paused") return;
    this.#status = "running";
    this.#lastPause = this.#world.now();
    if (timersFirst) this.#waiting.sort((one, other) => Number(other.isTimer) - Number(one.isTimer));
    this.#next();
  }

  /** It does nothing any more. */
  kill(): void {
    this.#status = "dead";
  }

  /** What is left of a dead process comes to its end, so that it holds nothing of ours. */
  bury(): void {
    if (this.#status !== "dead") return;
    this.#isBuried = true;
    for (const { step } of this.#waiting.splice(0)) step();
  }

  /** Whether it stood still at any time since `at`. */
  hasPausedSince(at: number): boolean {
    if (this.#status === "paused") return this.#pausedAt >= 0;
    return this.#lastPause >= at || this.#waiting.length > 0;
  }

  #take(isTimer: boolean, step: () => void): void {
    if (this.isUpToDate || this.#isBuried) step();
    else this.#waiting.push({ isTimer, step });
  }

  #next(): void {
    if (this.#status !== "running") return;
    const [first] = this.#waiting;
    if (!first) return;
    try {
      first.step();
    } finally {
      // Not before: what comes in meanwhile waits its turn.
      this.#waiting.shift();
      if (this.#waiting.length > 0) this.#world.setTimer(0, () => this.#next());
    }
  }
}
