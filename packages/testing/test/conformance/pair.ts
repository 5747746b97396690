import { EtcdProcess, MemoryEtcd, serveMemoryEtcd } from "../../src/index.js";
import { expectAlike } from "./expect-alike.js";
import type { Compared, Comparison, RunOptions } from "./lane.js";
import { likeOf } from "./like-of.js";
import { ConformanceServer } from "./server.js";
import type { Planned } from "./steps.js";
import { compareWatches } from "./watches.js";

/**
 * A real etcd and one in memory, both empty at first, that are asked the same in the same order over gRPC.
 *
 * So they have the same revisions all the time, and their answers can be compared field by field.
 */
export class Pair implements Comparison {
  readonly #process: EtcdProcess;
  readonly #memory: MemoryEtcd;
  readonly #real: ConformanceServer;
  readonly #fake: ConformanceServer;
  readonly compared: Compared = { answers: 0, events: 0 };

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
  async run(script: readonly Planned[], { whole = false }: RunOptions = {}): Promise<void> {
    for (const planned of script) {
      const step = typeof planned === "function" ? planned(this.#memory.revision) : planned;
      const [real, fake] = await Promise.all([this.#real.take(step), this.#fake.take(step)]);
      expectAlike(step, fake, real);
      this.compared.answers += 1;
    }
    this.compared.events += await compareWatches(this.#real, this.#fake, whole);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#real.close();
    this.#fake.close();
    await this.#memory.close();
    await this.#process[Symbol.asyncDispose]();
  }
}
