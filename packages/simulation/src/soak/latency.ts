import { createHistogram } from "node:perf_hooks";

/** How long things took, in a bounded space. */
export class Latency {
  readonly #histogram = createHistogram();

  add(ms: number): void {
    // An event may reach a discovery before it reaches the oracle; and a histogram begins at 1.
    this.#histogram.record(Math.max(1, Math.round(ms * 1_000)));
  }

  get count(): number {
    return Number(this.#histogram.count);
  }

  /** Milliseconds; `undefined` without any. */
  get figures() {
    if (this.count === 0) return undefined;
    const ms = (value: number): number => Math.round(value / 100) / 10;
    const { max } = this.#histogram;
    return {
      p50: ms(this.#histogram.percentile(50)),
      p99: ms(this.#histogram.percentile(99)),
      max: ms(max),
      count: this.count,
    };
  }

  toString(): string {
    const { figures } = this;
    if (!figures) return "-";
    return `p50 ${figures.p50} ms, p99 ${figures.p99} ms, max ${figures.max} ms (${figures.count})`;
  }
}
