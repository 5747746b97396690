import { createClient, type EtcdClient, type EtcdTransport } from "@sd/core";
import { leaseId, ManualClock, MemoryEtcd, SeededRandom } from "@sd/testing";
import { expect } from "vitest";
import type { Change, Keyed } from "../src/change.js";
import type { ServiceDiscovery } from "../src/discover.js";
import type { DiscoveryState } from "../src/discovery.js";

/** One etcd in memory, a clock, and a client: what a test of discoveries needs. End it with `end()`. */
export class Harness {
  readonly clock = new ManualClock();
  readonly memory = new MemoryEtcd({ clock: this.clock });
  readonly #clients: EtcdClient[] = [];
  readonly client = this.newClient();

  newClient(wrap: (transport: EtcdTransport) => EtcdTransport = (transport) => transport): EtcdClient {
    const { clock, memory } = this;
    const client = createClient({ transport: wrap(memory.transport()), clock, random: new SeededRandom(1) });
    this.#clients.push(client);
    return client;
  }

  /** Moves the time until `work` settles, and no further; throws if that takes longer than `withinMs`. */
  async run<T>(work: Promise<T>, withinMs = 0): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    work.then(settle, settle);
    const until = this.clock.now() + withinMs;
    await this.clock.settle();
    while (!isSettled) {
      const next = this.clock.nextTimerAt;
      if (next === undefined || next > until) throw new Error(`not settled within ${withinMs} ms`);
      await this.clock.advance(next - this.clock.now());
    }
    return work;
  }

  /** Several writes as one revision; `undefined` deletes. */
  async write(values: Readonly<Record<string, string | undefined>>): Promise<void> {
    const success = Object.entries(values).map(([key, value]) =>
      value === undefined
        ? ({ type: "delete", key: Buffer.from(key) } as const)
        : ({ type: "put", key: Buffer.from(key), value: Buffer.from(value), lease: leaseId(0n) } as const),
    );
    await this.memory.transport().txn({ compare: [], success, failure: [] });
    await this.clock.settle();
  }

  /** Breaks all connections and lets none come up, until `connect()`. */
  disconnect(): void {
    this.memory.cut();
    this.memory.refuse();
  }

  connect(): void {
    this.memory.accept();
  }

  /** Closes everything; no timer and no stream may be left. */
  async end(): Promise<void> {
    this.memory.thaw();
    this.memory.accept();
    await this.run(Promise.all(this.#clients.map((client) => client.close())), 5_000);
    expect(this.memory.openStreams).toBe(0);
    await this.memory.close();
    expect(this.clock.pending).toBe(0);
  }
}

/** What a change is, in short: `+` added, `~` updated, `-` removed, and the key. */
export function short({ type, instance }: Change<Pick<Keyed, "key">>): string {
  return `${{ added: "+", updated: "~", removed: "-" }[type]}${instance.key}`;
}

/** The keys that a discovery shows, sorted. */
export function keysOf({
  snapshot,
}: {
  readonly snapshot: { readonly instances: readonly Keyed[] };
}): string[] {
  return snapshot.instances.map(({ key }) => key).sort();
}

/** The statuses that a discovery goes through, from now on, repeats left out. */
export function statuses(
  discovery: Pick<ServiceDiscovery, "state" | "subscribe">,
): DiscoveryState["status"][] {
  const seen: DiscoveryState["status"][] = [discovery.state.status];
  discovery.subscribe(({ status }) => {
    if (seen.at(-1) !== status) seen.push(status);
  });
  return seen;
}

/** Reads what an iterator gives without waiting, as often as asked. */
export class Reader<T> {
  readonly #bench: Harness;
  readonly #iterator: AsyncIterator<T>;
  #next: Promise<IteratorResult<T>> | undefined;

  constructor(bench: Harness, iterator: AsyncIterator<T>) {
    this.#bench = bench;
    this.#iterator = iterator;
  }

  /** The item that is being waited for, or the end. */
  get next(): Promise<IteratorResult<T>> {
    this.#next ??= this.#iterator.next();
    return this.#next;
  }

  async read(): Promise<T[]> {
    const items: T[] = [];
    for (;;) {
      const { next } = this;
      await this.#bench.clock.settle();
      const outcome = await Promise.race([next, undefined]);
      if (!outcome || outcome.done) return items;
      this.#next = undefined;
      items.push(outcome.value);
    }
  }
}
