import { type Clock, sleep, type Timer } from "@sd/core";
import { keyOf, Life, type Recorded } from "../history.js";
import type { Record } from "../record.js";
import type { Gateway, WatchMessage } from "./gateway.js";

/** Somebody always writes: a watch that is silent for so long is at a member that does not hear. */
const SILENCE_MS = 3_000;
const RETRY_MS = 200;
/** By then it has heard of what etcd holds, whatever its watch has met. */
const CATCH_UP_MS = 30_000;

interface Waiting {
  readonly revision: number;
  readonly check: () => void;
}

/**
 * etcd's own history, heard directly: every event of every key from the first revision on, in order and once.
 *
 * It hears of an event later than a discovery may: what was said of a revision is checked once it has arrived
 * there. Nothing may be compacted beyond `revision`; its own past is compared with etcd's by `verify()`.
 */
export class Oracle {
  #life: Life;
  readonly #gateway: Gateway;
  readonly #clock: Clock;
  readonly #record: Record;
  readonly #onEvent: (event: Recorded) => void;
  #waiting: Waiting[] = [];
  #watch: Disposable | undefined;
  #silence: Timer | undefined;
  #heardAt = 0;
  #isClosed = false;
  count = 0;
  /** Checks that could not be made: what they wait for was lost with its life, before the oracle heard of it. */
  dropped = 0;

  constructor(gateway: Gateway, clock: Clock, record: Record, onEvent: (event: Recorded) => void) {
    this.#gateway = gateway;
    this.#clock = clock;
    this.#record = record;
    this.#onEvent = onEvent;
    this.#life = new Life(clock.now());
    this.#open();
  }

  /** etcd's present history. */
  get life(): Life {
    return this.#life;
  }

  /**
   * etcd, which is down, has another history from now on: that of a snapshot at revision `fork`, or none for 0.
   *
   * All that it has told has arrived by now, and what waits for more of the past waits in vain.
   */
  begin(fork: number): void {
    this.dropped += this.#waiting.length;
    this.#waiting = [];
    this.#life = this.#life.branch(fork, this.#clock.now());
    this.#watch?.[Symbol.dispose]();
    this.#again();
  }

  /** The newest revision that it has heard of. */
  get revision(): number {
    return this.life.revision;
  }

  /** How many checks wait for it. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Calls `check` once all that happened up to `revision` is known, in order. */
  when(revision: number, check: () => void): void {
    if (revision <= this.revision && this.#waiting.length === 0) check();
    else this.#waiting.push({ revision, check });
  }

  /** Resolves once it knows all that etcd holds now. @throws Error if that takes half a minute. */
  async catchUp(): Promise<void> {
    const revision = await this.#gateway.revision();
    const deadline = this.#clock.now() + CATCH_UP_MS;
    while (this.revision < revision) {
      if (this.#clock.now() > deadline)
        throw new Error(`the oracle is at revision ${this.revision}, and etcd at ${revision}`);
      await sleep(this.#clock, 20);
    }
  }

  /** Compares the past with etcd's own, at the newest revision that is known. */
  async verify(prefix: string): Promise<void> {
    const { revision } = this;
    const kvs = await this.#gateway.range(prefix, revision);
    const mine = this.life.state(prefix, revision);
    const wrong = kvs.filter((kv) => mine.get(keyOf(kv.key))?.modRevision !== kv.modRevision);
    if (wrong.length > 0 || kvs.length !== mine.size) {
      this.#record.blame(
        "oracle",
        "oracle",
        `holds ${mine.size} keys at ${revision}, etcd ${kvs.length}; different: ${wrong.map((kv) => keyOf(kv.key))}`,
      );
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#watch?.[Symbol.dispose]();
    this.#silence?.[Symbol.dispose]();
  }

  #open(): void {
    if (this.#isClosed) return;
    this.#heardAt = this.#clock.now();
    this.#watch = this.#gateway.watch(
      this.revision + 1,
      (message) => this.#take(message),
      () => this.#again(),
    );
    this.#listen();
  }

  #listen(): void {
    this.#silence?.[Symbol.dispose]();
    this.#silence = this.#clock.setTimer(SILENCE_MS, () => {
      if (this.#clock.now() - this.#heardAt < SILENCE_MS) return this.#listen();
      this.#watch?.[Symbol.dispose]();
      this.#open();
    });
  }

  #again(): void {
    this.#silence?.[Symbol.dispose]();
    this.#silence = this.#clock.setTimer(RETRY_MS, () => this.#open());
  }

  #take(message: WatchMessage): void {
    this.#heardAt = this.#clock.now();
    if ("compacted" in message) {
      this.#record.blame(
        "oracle",
        "oracle",
        `compacted at ${message.compacted}, heard up to ${this.revision}`,
      );
      this.life.revision = Math.max(this.revision, message.compacted);
      return;
    }
    const last = this.revision;
    for (const event of message.events) {
      const { modRevision } = event.kv;
      if (modRevision <= last) {
        this.#record.blame("oracle", "oracle", `heard of ${modRevision} after ${last}`);
        continue;
      }
      this.life.revision = modRevision;
      this.count += 1;
      this.#onEvent(this.life.add(event, this.#heardAt));
    }
    this.#check();
  }

  #check(): void {
    const due = this.#waiting.filter(({ revision }) => revision <= this.revision);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter(({ revision }) => revision > this.revision);
    for (const { check } of due) check();
  }
}
