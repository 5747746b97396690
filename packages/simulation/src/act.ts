import { type EtcdTransport, instanceKey } from "@sd/core";
import { type Behaviour, leaseId } from "@sd/testing";
import type { Action } from "./plan.js";
import { fair } from "./weather.js";
import type { Unit, World } from "./world.js";

/** What makes a plan happen: each action, and the end of each fault that lasts. */
export class Actor {
  readonly #world: World;
  readonly #operator: EtcdTransport;
  readonly #isSilent: boolean;
  /** The ends of the faults that are on. */
  readonly #ends = new Set<() => void>();
  #lastId = 2n ** 62n;
  #lastWeight = 0;
  #hasWiped = false;
  #wasStale = false;
  readonly #healthy: Behaviour;
  /** Whether etcd was ever full: who has met that comes back late. */
  wasFull = false;

  /** @param isSilent see `Plan` */
  constructor(world: World, isSilent: boolean) {
    this.#world = world;
    this.#isSilent = isSilent;
    this.#operator = world.memory.transport();
    this.#healthy = world.memory.behaviour;
  }

  act(action: Action): void {
    const { memory, record, registrations, discoveries } = this.#world;
    record.note("plan", describe(action));
    switch (action.type) {
      case "register": {
        const { service, id, ttlSeconds, onConflict } = action;
        const unit = this.#world.unit(action.process);
        const wish = { service, id, address: addressOf(unit), ttlSeconds, onConflict };
        if (!this.#hasOne(unit, instanceKey(service, id))) this.#world.register(unit, wish);
        break;
      }
      case "update": {
        const subject = nth(registrations, action.nth);
        if (subject?.isWanted) void subject.update(++this.#lastWeight);
        break;
      }
      case "close": {
        const subject = nth(registrations, action.nth);
        if (subject?.isWanted) void subject.close();
        break;
      }
      case "discover":
        this.#world.discover(this.#world.unit(action.process), action.target);
        break;
      case "close discovery": {
        const subject = nth(discoveries, action.nth);
        if (subject?.isOpen) void subject.close();
        break;
      }
      case "respawn":
        this.#respawn(this.#world.unit(action.process));
        break;
      case "put":
        this.#put(action.key, action.value, action.ttlSeconds);
        break;
      case "delete":
        this.#world.operate(() => memory.delete(action.key));
        break;
      case "transaction":
        this.#transaction(action.prefix, action.keys);
        break;
      default:
        this.#fault(action);
    }
  }

  /** Ends all faults. */
  heal(): void {
    for (const end of [...this.#ends]) end();
    for (const { link } of this.#world.units) link.renewalsToDrop = 0;
  }

  #fault(action: Action): void {
    const { memory, record } = this.#world;
    record.totals.fault(action.type === "behave" ? Object.keys(action.changes).join() : action.type);
    switch (action.type) {
      case "crash":
        this.#world.crash(this.#world.unit(action.process));
        break;
      case "restart":
        memory.refuse();
        memory.cut();
        this.#during(action.forMs, () => memory.accept());
        this.#world.crash(this.#world.unit(action.process));
        this.#respawn(this.#world.unit(action.process));
        break;
      case "burst":
        this.#burst(action.prefix, action.count);
        break;
      case "end lease": {
        const id = nth(memory.leases, action.nth);
        if (id !== undefined) this.#world.endLease(id);
        break;
      }
      case "compact":
        this.#world.operate(() => memory.compact(memory.revision - action.behind));
        break;
      case "cut":
        memory.cut();
        break;
      case "refuse":
        memory.refuse();
        this.#during(action.forMs, () => memory.accept());
        break;
      case "freeze":
        memory.freeze();
        this.#during(action.forMs, () => memory.thaw());
        break;
      case "kill":
        memory.kill();
        this.#during(action.forMs, () => memory.restart());
        break;
      case "hold":
        memory.holdWatchEvents();
        this.#during(action.forMs, () => memory.releaseWatchEvents());
        break;
      case "full":
        this.wasFull = true;
        memory.setFull(true);
        this.#during(action.forMs, () => memory.setFull(false));
        break;
      case "wipe":
        if (this.#hasWiped && !this.#isSilent) return;
        this.#hasWiped = true;
        this.#world.wipe(action.newCluster);
        memory.refuse();
        this.#during(action.forMs, () => memory.accept());
        break;
      case "behave":
        this.#behave(action.changes, action.forMs);
        break;
      default:
        this.#linkFault(action);
    }
  }

  #linkFault(action: Action): void {
    if (!("process" in action)) return;
    const { process, link } = this.#world.unit(action.process);
    switch (action.type) {
      case "weather":
        link.weather = action.weather;
        this.#during(action.forMs, () => {
          link.weather = fair;
        });
        break;
      case "drop renewal":
        link.renewalsToDrop += 1;
        break;
      case "cut link":
        link.cut();
        break;
      case "black hole":
        link.blackHole(true);
        this.#during(action.forMs, () => link.blackHole(false));
        break;
      case "refuse link":
        link.isRefusing = true;
        link.cut();
        this.#during(action.forMs, () => {
          link.isRefusing = false;
        });
        break;
      case "pause":
        process.pause();
        this.#during(action.forMs, () => process.resume(action.timersFirst));
        break;
    }
  }

  #hasOne({ process }: Unit, key: string): boolean {
    const { registrations } = this.#world;
    return registrations.some((each) => each.process === process && each.key === key && each.isWanted);
  }

  #respawn(old: Unit): void {
    const unit = this.#world.start(old.slot);
    if (!unit) return;
    for (const { process, wish, isWanted } of [...this.#world.registrations]) {
      if (process === old.process && (isWanted || process.status === "dead"))
        this.#world.register(unit, wish);
    }
    if (old.process.status !== "dead") return;
    for (const { process, target } of [...this.#world.discoveries]) {
      if (process === old.process) this.#world.discover(unit, target);
    }
  }

  #put(key: string, value: string, ttlSeconds: number): void {
    const { memory } = this.#world;
    if (ttlSeconds === 0) {
      this.#world.operate(() => memory.put(key, value));
      return;
    }
    const id = leaseId(++this.#lastId);
    this.#operator.grant({ id, ttlSeconds }).then(
      () => this.#world.operate(() => memory.put(key, value, { lease: id })),
      () => {},
    );
  }

  /** Puts several keys at once if they are not there, else deletes them at once. */
  #transaction(prefix: string, keys: number): void {
    const { memory } = this.#world;
    const isThere = memory.get(`${prefix}t0`) !== undefined;
    const value = isThere ? undefined : "10.0.0.8:8";
    const writes = Array.from({ length: keys }, (_, index) => [`${prefix}t${index}`, value] as const);
    this.#world.operate(() => memory.write(Object.fromEntries(writes)));
  }

  /** Many revisions while nobody is connected: who comes back has to catch up in batches. */
  #burst(prefix: string, count: number): void {
    if (this.#hasWiped && !this.#isSilent) return;
    const { memory } = this.#world;
    memory.cut();
    this.#world.operate(() => {
      for (let index = 0; index < count; index += 1)
        memory.put(`${prefix}burst${index % 5}`, `10.0.0.7:${1 + (index % 1_000)}`);
    });
  }

  #behave(changes: Partial<Behaviour>, forMs: number): void {
    // Twice, it may be seen twice: who looks again after 3 s has reason to believe it.
    if (changes.servesStaleReads && this.#wasStale) return;
    if (changes.servesStaleReads) this.#wasStale = true;
    const { memory } = this.#world;
    memory.behave(changes);
    const names = Object.keys(changes) as (keyof Behaviour)[];
    const restored = Object.fromEntries(names.map((name) => [name, this.#healthy[name]]));
    this.#during(forMs, () => memory.behave(restored));
  }

  #during(forMs: number, stop: () => void): void {
    const end = (): void => {
      if (!this.#ends.delete(end)) return;
      timer[Symbol.dispose]();
      this.#world.record.note("plan", "a fault ends");
      stop();
    };
    const timer = this.#world.clock.setTimer(forMs, end);
    this.#ends.add(end);
  }
}

/** An action on one line. */
export function describe({ type, ...rest }: Action): string {
  const words = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return [type, ...words].join(" ");
}

function addressOf({ slot }: Unit): string {
  return `10.0.0.${slot}:9000`;
}

function nth<T>(items: readonly T[], index: number): T | undefined {
  return items[index % Math.max(1, items.length)];
}
