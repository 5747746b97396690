import type { Planned } from "./steps.js";

/** How much was found alike. */
export interface Compared {
  answers: number;
  events: number;
}

export interface RunOptions {
  /** Watches are compared message by message; else only by their events and ends. */
  readonly whole?: boolean;
}

/** A real etcd and one in memory that take the same steps. */
export interface Comparison extends AsyncDisposable {
  readonly compared: Compared;
  /** Fails at the first difference. */
  run(script: readonly Planned[], options?: RunOptions): Promise<void>;
}

/** Runs scripts one after another on a pair that has not differed yet: after a difference both begin anew. */
export class Lane {
  readonly #start: () => Promise<Comparison>;
  readonly compared: Compared = { answers: 0, events: 0 };
  #pair: Comparison | undefined;

  constructor(start: () => Promise<Comparison>) {
    this.#start = start;
  }

  async run(script: readonly Planned[], options?: RunOptions): Promise<void> {
    this.#pair ??= await this.#start();
    const { answers, events } = this.#pair.compared;
    try {
      await this.#pair.run(script, options);
      this.compared.answers += this.#pair.compared.answers - answers;
      this.compared.events += this.#pair.compared.events - events;
    } catch (error) {
      await this.renew();
      throw error;
    }
  }

  /** The next script begins on a new pair. */
  async renew(): Promise<void> {
    const pair = this.#pair;
    this.#pair = undefined;
    await pair?.[Symbol.asyncDispose]();
  }

  close(): Promise<void> {
    return this.renew();
  }
}
