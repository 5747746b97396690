import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { behaviours, EtcdProcess, type EtcdVersion, MemoryEtcd, serveMemoryEtcd } from "../../src/index.js";
import { byWatch, countEvents, describeStep, normalised } from "./normalise.js";
import { ConformanceServer } from "./server.js";
import type { Planned } from "./steps.js";

/** The behaviour that a real version is compared with: its own, else that of the newest. */
export function likeOf(version: string): EtcdVersion {
  const known = Object.keys(behaviours) as EtcdVersion[];
  return known.find((each) => each === version) ?? (version.startsWith("3.4.") ? "3.4.23" : "3.5.30");
}

/**
 * A real etcd and one in memory, both empty at first, that are asked the same in the same order.
 *
 * So they have the same revisions all the time, and their answers can be compared field by field.
 */
export class Pair implements AsyncDisposable {
  readonly #process: EtcdProcess;
  readonly #memory: MemoryEtcd;
  readonly #real: ConformanceServer;
  readonly #fake: ConformanceServer;
  /** Answers that were compared, and events of watches. */
  readonly compared = { answers: 0, events: 0 };

  private constructor(process: EtcdProcess, memory: MemoryEtcd, endpoint: string) {
    this.#process = process;
    this.#memory = memory;
    this.#real = new ConformanceServer(process.endpoint);
    this.#fake = new ConformanceServer(endpoint);
  }

  static async start(binary: string): Promise<Pair> {
    const process = await EtcdProcess.start({ binary });
    const memory = new MemoryEtcd({ version: likeOf(process.version), catchUpDelayMs: 20 });
    const { endpoint } = await serveMemoryEtcd(memory);
    return new Pair(process, memory, endpoint);
  }

  /** Takes all steps on both; fails at the first difference. Watches end with the script. */
  async run(script: readonly Planned[], { whole = false } = {}): Promise<void> {
    for (const planned of script) {
      const step = typeof planned === "function" ? planned(this.#memory.revision) : planned;
      const [real, fake] = await Promise.all([this.#real.take(step), this.#fake.take(step)]);
      expect(normalised(fake), describeStep(step)).toEqual(normalised(real));
      this.compared.answers += 1;
    }
    await this.#compareWatches(whole);
  }

  async #compareWatches(whole: boolean): Promise<void> {
    const real = () => byWatch(this.#real.watched, whole);
    const fake = () => byWatch(this.#fake.watched, whole);
    const isLevel = () => countEvents(this.#real.watched) === countEvents(this.#fake.watched);
    for (let waited = 0; waited < 3_000 && !isLevel(); waited += 10) await pause(10);
    // What is too much would come now.
    if (this.#real.watched.length > 0) await pause(150);
    expect(fake(), "watches").toEqual(real());
    this.compared.events += countEvents(this.#real.watched);
    this.#real.forgetWatches();
    this.#fake.forgetWatches();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#real.close();
    this.#fake.close();
    await this.#memory.close();
    await this.#process[Symbol.asyncDispose]();
  }
}
