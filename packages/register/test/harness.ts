import { createClient, type EtcdClient, type EtcdTransport, type Random } from "@sd/core";
import { ManualClock, MemoryEtcd, SeededRandom } from "@sd/testing";
import { expect } from "vitest";
import type { Registration } from "../src/registration.js";
import type { RegistrationState } from "../src/registration-state.js";

type Status = RegistrationState["status"];

/** One etcd in memory, a clock, and clients: what a test of registrations needs. End it with `end()`. */
export class Harness {
  readonly clock = new ManualClock();
  readonly memory = new MemoryEtcd({ clock: this.clock });
  readonly #clients: EtcdClient[] = [];
  readonly client = this.newClient();

  /** Another process: its own connection, and its own chance unless given. */
  newClient(
    random: Random = new SeededRandom(this.#clients.length + 1),
    wrap: (transport: EtcdTransport) => EtcdTransport = (transport) => transport,
  ): EtcdClient {
    const { clock, memory } = this;
    const client = createClient({ transport: wrap(memory.transport()), clock, random });
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

  valueOf(key: string): string | undefined {
    const kv = this.memory.get(key);
    return kv && Buffer.from(kv.value).toString();
  }

  /** What has happened to a key, oldest first: its values, `undefined` for each delete. */
  history(key: string): (string | undefined)[] {
    return this.memory.events
      .filter(({ kv }) => Buffer.from(kv.key).toString() === key)
      .map(({ type, kv }) => (type === "put" ? Buffer.from(kv.value).toString() : undefined));
  }

  /** How often a key was written. */
  writes(key: string): number {
    return this.history(key).filter((value) => value !== undefined).length;
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

/** The statuses that a registration goes through, from now on, repeats left out. */
export function statuses(registration: Registration<never>): Status[] {
  const seen: Status[] = [registration.state.status];
  registration.subscribe(({ status }) => {
    if (seen.at(-1) !== status) seen.push(status);
  });
  return seen;
}
