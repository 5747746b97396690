import type { Clock, KeyValue, WatchEvent } from "@sd/core";
import type { MemoryEtcd } from "@sd/testing";

/** One change of one key, and when it was made. */
export interface Recorded extends WatchEvent {
  readonly key: string;
  readonly at: number;
  /** What the key held before, if it did. */
  readonly previous: KeyValue | undefined;
}

/** All that happened in one life of the store, from its beginning or a wipe on. */
export class Life {
  readonly events: Recorded[] = [];
  readonly startedAt: number;
  /** Up to this revision it is the history of the life before, from a snapshot; 0 for a new store. */
  readonly fork: number;
  /** The newest. */
  revision = 1;
  readonly #byKey = new Map<string, Recorded[]>();

  constructor(startedAt: number, fork = 0) {
    this.startedAt = startedAt;
    this.fork = fork;
  }

  /** Another life that has the same past up to `revision`, and begins now. */
  branch(revision: number, now: number): Life {
    const next = new Life(now, revision);
    next.events.push(...this.events.slice(0, after(this.events, revision)));
    for (const [key, changes] of this.#byKey) {
      const kept = changes.slice(0, after(changes, revision));
      if (kept.length > 0) next.#byKey.set(key, kept);
    }
    next.revision = Math.max(1, revision);
    return next;
  }

  add({ type, kv }: WatchEvent, at: number): Recorded {
    const key = keyOf(kv.key);
    const changes = this.#byKey.get(key) ?? [];
    this.#byKey.set(key, changes);
    const last = changes.at(-1);
    const recorded = { type, kv, key, at, previous: last?.type === "put" ? last.kv : undefined };
    changes.push(recorded);
    this.events.push(recorded);
    return recorded;
  }

  /** What happened to `key`, oldest first. */
  of(key: string): readonly Recorded[] {
    return this.#byKey.get(key) ?? [];
  }

  /** What `key` held at `revision`. */
  at(key: string, revision: number): KeyValue | undefined {
    const changes = this.of(key);
    const last = changes[after(changes, revision) - 1];
    return last?.type === "put" ? last.kv : undefined;
  }

  /** What all keys under `prefix` held at `revision`. */
  state(prefix: string, revision: number): Map<string, KeyValue> {
    const state = new Map<string, KeyValue>();
    for (const key of this.#byKey.keys()) {
      if (!key.startsWith(prefix)) continue;
      const kv = this.at(key, revision);
      if (kv) state.set(key, kv);
    }
    return state;
  }

  /** What happened under `prefix` in (`from`, `to`], in order. */
  between(prefix: string, from: number, to: number): Recorded[] {
    const { events } = this;
    return events.slice(after(events, from), after(events, to)).filter(({ key }) => key.startsWith(prefix));
  }

  /** Drops all that is needed only for questions about times before `revision`. */
  forget(revision: number): void {
    this.events.splice(0, after(this.events, revision));
    for (const [key, changes] of this.#byKey) {
      const last = after(changes, revision) - 1;
      const isGone = changes[last]?.type === "delete";
      changes.splice(0, isGone ? last + 1 : last);
      if (changes.length === 0) this.#byKey.delete(key);
    }
  }

  /** The first change under `prefix` after `revision`. */
  firstAfter(prefix: string, revision: number): Recorded | undefined {
    for (let index = after(this.events, revision); index < this.events.length; index += 1) {
      if (this.events[index]?.key.startsWith(prefix)) return this.events[index];
    }
    return undefined;
  }
}

/** The store's own history: what every log is checked against. */
export class History {
  readonly #memory: MemoryEtcd;
  readonly #clock: Clock;
  readonly #onEvent: (event: Recorded) => void;
  readonly lives: Life[] = [];
  #seen = 0;
  count = 0;

  constructor(memory: MemoryEtcd, clock: Clock, onEvent: (event: Recorded) => void) {
    this.#memory = memory;
    this.#clock = clock;
    this.#onEvent = onEvent;
    this.begin();
  }

  /** The number of the present life, from 0. */
  get life(): number {
    return this.lives.length - 1;
  }

  get now(): Life {
    return this.lives.at(-1) as Life;
  }

  /** The store was wiped, just now. */
  begin(): void {
    this.lives.push(new Life(this.#clock.now()));
    this.#seen = 0;
  }

  /** Takes in what has happened since the last call. Call it before the time moves, and before a wipe. */
  sync(): void {
    const { events } = this.#memory;
    this.now.revision = this.#memory.revision;
    while (this.#seen < events.length) {
      const event = this.now.add(events[this.#seen] as WatchEvent, this.#clock.now());
      this.#seen += 1;
      this.count += 1;
      this.#onEvent(event);
    }
  }
}

/** One character for each byte. */
export function keyOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

/** The index of the first event after `revision`. */
function after(events: readonly Recorded[], revision: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((events[middle] as Recorded).kv.modRevision <= revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
