import { createClient, type EtcdClient, type EtcdTransport, type Random } from "@sd/core";
import { ManualClock } from "../clock/manual-clock.js";
import { MemoryEtcd, type MemoryEtcdOptions } from "../memory/memory-etcd.js";
import { SeededRandom } from "../random/seeded-random.js";
import { overrideTransport } from "./override-transport.js";

/** How one client of a bench differs. */
export interface BenchClientOptions {
  /** Default: seeded with the number of the client, from 1. */
  readonly random?: Random;
  /** Stands between the client and its etcd: the methods that it returns replace those of the transport. */
  readonly wrap?: (transport: EtcdTransport) => Partial<EtcdTransport>;
}

/**
 * An etcd in memory, a clock that the test moves, and clients of it: no port, no real time, every run the same.
 *
 * End it by `end()`, which finds what the test has left open.
 */
export class Bench {
  readonly clock = new ManualClock();
  readonly memory: MemoryEtcd;
  /** The first client. */
  readonly client: EtcdClient;
  readonly #clients: EtcdClient[] = [];

  constructor(options: Omit<MemoryEtcdOptions, "clock"> = {}) {
    this.memory = new MemoryEtcd({ ...options, clock: this.clock });
    this.client = this.newClient();
  }

  /** A client more, as of another process: with its own connection and its own chance. */
  newClient({ random, wrap }: BenchClientOptions = {}): EtcdClient {
    const transport = this.memory.transport();
    const client = createClient({
      transport: wrap ? overrideTransport(transport, wrap(transport)) : transport,
      clock: this.clock,
      random: random ?? new SeededRandom(this.#clients.length + 1),
    });
    this.#clients.push(client);
    return client;
  }

  /** Moves the time until `work` settles, and no further. @throws Error if that takes longer than `withinMs`. */
  run<Result>(work: Promise<Result>, withinMs = 0): Promise<Result> {
    return this.clock.run(work, withinMs);
  }

  /** Breaks all connections and lets none come up, until `connect()`. */
  disconnect(): void {
    this.memory.cut();
    this.memory.refuse();
  }

  connect(): void {
    this.memory.accept();
  }

  /**
   * Lets etcd answer again, and closes the clients and it.
   *
   * @throws Error if a stream or a timer is left.
   */
  async end(): Promise<void> {
    this.memory.thaw();
    this.memory.accept();
    await this.run(Promise.all(this.#clients.map((client) => client.close())), 5_000);
    const { openStreams } = this.memory;
    await this.memory.close();
    const left = [
      ...(openStreams > 0 ? [`${openStreams} streams`] : []),
      ...(this.clock.pending > 0 ? [`${this.clock.pending} timers`] : []),
    ];
    if (left.length > 0) throw new Error(`left open: ${left.join(" and ")}`);
  }
}
