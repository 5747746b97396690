import { type Clock, sleep } from "@sd/core";
import type { SeededRandom } from "@sd/testing";
import type { Gateway } from "./gateway.js";
import type { Oracle } from "./oracle.js";

const WRITE_EVERY_MS = 25;
const COMPACT_EVERY_MS = 300;
/** How far behind the newest revision it compacts, for so many times: who was away may resume, or not. */
const MARGINS = [0, 5, 50, 200];
const SAME_MARGIN = 40;
const KEYS = 12;

/** What others write all the time, and the compaction that follows on their heels. Ends by `close()`. */
export class Traffic {
  readonly #gateway: Gateway;
  readonly #oracle: Oracle;
  readonly #clock: Clock;
  readonly #random: SeededRandom;
  readonly #services: readonly string[];
  readonly #abort = new AbortController();
  readonly #runs: readonly Promise<void>[];
  compactions = 0;
  #compacted = 0;
  #margin = 0;
  #rounds = 0;
  #holds = 0;
  #pauses = 0;
  #written = 0;

  constructor(
    gateway: Gateway,
    oracle: Oracle,
    clock: Clock,
    random: SeededRandom,
    services: readonly string[],
  ) {
    this.#gateway = gateway;
    this.#oracle = oracle;
    this.#clock = clock;
    this.#random = random;
    this.#services = services;
    this.#runs = [
      this.#every(WRITE_EVERY_MS, async () => {
        if (this.#pauses === 0) await this.write();
      }),
      this.#every(COMPACT_EVERY_MS, () => this.#compact()),
    ];
  }

  /** One to four changes of keys that nobody registers, at one revision. */
  async write(): Promise<void> {
    const random = this.#random;
    const changes = new Map<string, string | undefined>();
    for (let left = 1 + random.below(4); left > 0; left -= 1) {
      const service = this.#services[random.below(this.#services.length)];
      this.#written += 1;
      const value = random.next() < 0.25 ? undefined : `10.0.0.1:${1 + (this.#written % 60_000)}`;
      changes.set(`/${service}/t${random.below(KEYS)}`, value);
    }
    await this.#gateway.write(changes);
  }

  /** Nothing is compacted until it is disposed. */
  holdCompaction(): Disposable {
    this.#holds += 1;
    return {
      [Symbol.dispose]: () => {
        this.#holds -= 1;
      },
    };
  }

  /** Nothing is written until it is disposed, but what is on its way. */
  hold(): Disposable {
    this.#pauses += 1;
    return {
      [Symbol.dispose]: () => {
        this.#pauses -= 1;
      },
    };
  }

  /** etcd has another history from now on. */
  begin(): void {
    this.#compacted = 0;
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#runs);
  }

  async #compact(): Promise<void> {
    if (this.#rounds % SAME_MARGIN === 0) this.#margin = MARGINS[this.#random.below(MARGINS.length)] ?? 0;
    this.#rounds += 1;
    // What the oracle has not heard of stays.
    const revision = this.#oracle.revision - this.#margin;
    if (revision <= this.#compacted || this.#holds > 0) return;
    await this.#gateway.compact(revision);
    this.#compacted = revision;
    this.compactions += 1;
  }

  async #every(ms: number, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      // While etcd does not answer, or has compacted beyond, nothing is written.
      await work().catch(() => {});
      await sleep(this.#clock, ms, signal).catch(() => {});
    }
  }
}
