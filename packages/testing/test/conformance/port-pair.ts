import { createClient, type EtcdClient } from "@sd/core";
import { EtcdProcess, MemoryEtcd } from "../../src/index.js";
import { hostOf } from "../../src/memory/memory-etcd.js";
import { methods, RawClient } from "../raw-client.js";
import { expectAlike } from "./expect-alike.js";
import type { Compared, Comparison, RunOptions } from "./lane.js";
import { likeOf } from "./like-of.js";
import { PortSide } from "./port-side.js";
import { HOUSE_LEASE, type PortStep, throughPort } from "./port-steps.js";
import type { Planned } from "./steps.js";
import { compareWatches } from "./watches.js";

/** The port over the adapter to a real etcd, and that of an etcd in memory: one contract, two that keep it. */
export class PortPair implements Comparison {
  readonly #process: EtcdProcess;
  readonly #client: EtcdClient;
  readonly #raw: RawClient;
  readonly #memory: MemoryEtcd;
  readonly #real: PortSide;
  readonly #fake: PortSide;
  readonly compared: Compared = { answers: 0, events: 0 };

  private constructor(process: EtcdProcess) {
    this.#process = process;
    this.#memory = new MemoryEtcd({ version: likeOf(process.version), catchUpDelayMs: 20 });
    this.#client = createClient({ endpoints: process.endpoint });
    this.#raw = new RawClient(process.endpoint);
    const raw = this.#raw;
    this.#real = new PortSide(this.#client.transport, {
      compact: (request) =>
        raw.call(methods.KV.compact, request).then(
          () => "done",
          () => "refused",
        ),
      alarm: (request) => raw.call(methods.Maintenance.alarm, request).then(() => "done"),
    });
    const { server } = hostOf(this.#memory);
    this.#fake = new PortSide(this.#memory.transport(), {
      compact: (request) => attempt(() => server.compact(request)),
      alarm: (request) => attempt(() => server.alarm(request)),
    });
  }

  static async start(binary: string): Promise<PortPair> {
    const pair = new PortPair(await EtcdProcess.start({ binary }));
    await pair.#take({ grant: { id: HOUSE_LEASE, ttlSeconds: 5_000 } });
    return pair;
  }

  /** Takes all steps on both; fails at the first difference. Watches end with the script. */
  async run(script: readonly Planned[], { whole = false }: RunOptions = {}): Promise<void> {
    for (const planned of script) {
      const { revision } = this.#memory;
      const step = throughPort(typeof planned === "function" ? planned(revision) : planned, revision);
      if (step) await this.#take(step);
    }
    this.compared.events += await compareWatches(this.#real, this.#fake, whole);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#raw.close();
    await this.#client.close();
    await this.#memory.close();
    await this.#process[Symbol.asyncDispose]();
  }

  async #take(step: PortStep): Promise<void> {
    const [real, fake] = await Promise.all([this.#real.take(step), this.#fake.take(step)]);
    expectAlike(step, fake, real);
    this.compared.answers += 1;
  }
}

function attempt(work: () => unknown): string {
  try {
    work();
    return "done";
  } catch {
    return "refused";
  }
}
