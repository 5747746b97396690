import { retryDelayMs } from "../etcd/retry.js";
import type { EtcdTransport } from "../etcd/transport.js";
import { Backoff } from "../kit/backoff.js";
import { Cancellation } from "../kit/cancellation.js";
import { publish } from "../kit/channels.js";
import type { Clock } from "../kit/clock.js";
import { invalidArgument, SdError } from "../kit/errors.js";
import type { StateListener } from "../kit/machine.js";
import type { Random } from "../kit/random.js";
import type { Schedule } from "../kit/schedule.js";
import { sleep } from "../kit/signals.js";
import { type Audit, auditSchedule } from "./audit.js";
import type { FirstPages } from "./first-pages.js";
import { Following, type Held } from "./following.js";
import type { HistoryBreak } from "./history.js";
import { Intake } from "./intake.js";
import { type KeyRange, printableRange } from "./key-range.js";
import { checkLimits, defaultLimits, type Limits } from "./limits.js";
import { listRange } from "./list.js";
import { PageSize } from "./page-size.js";
import { ReflectorMachine, type ReflectorState } from "./reflector-state.js";
import type { Store } from "./store.js";
import type { WatchHub } from "./watch-hub.js";

/** What a reflector needs of its client. */
export interface ReflectorPorts {
  readonly transport: EtcdTransport;
  readonly watches: WatchHub;
  /** Lists that begin together. Default: each list by itself. */
  readonly lists?: FirstPages;
  /** When comparisons are due. Default: each store's by itself. */
  readonly audits?: Schedule<Audit>;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ReflectorOptions {
  readonly range: KeyRange;
  readonly store: Store;
  /** The store already holds the range as of this revision: begin with the watch. */
  readonly revision?: number;
  /**
   * How often etcd is asked whether it holds the same keys, for up to 1,000 keys; more keys are compared less
   * often, up to ten times. Varies by half. Default 60000.
   */
  readonly checkEveryMs?: number | undefined;
  /** The most keys that are taken in. Default 250,000. */
  readonly maxKeys?: number | undefined;
  /** The most bytes of keys and values, likewise. Default 256 MiB. */
  readonly maxBytes?: number | undefined;
}

/** Where a store stood in another process. */
export interface Seen {
  readonly revision: number;
  /** `undefined` if etcd had not told. */
  readonly clusterId: bigint | undefined;
  /** When it was last known to be the present, on the client's clock: before its start, as a rule. */
  readonly since: number;
}

/** After being live for so long, trouble is new trouble. */
const HEALTHY_MS = 30_000;
/** Two looks at a lower revision, so far apart, before the history is judged broken (etcd #20418). */
const CONFIRM_MS = 3_000;
const CHECK_EVERY_MS = 60_000;
const MIN_CHECK_EVERY_MS = 1_000;

/**
 * Keeps a store equal to a range of etcd: list, watch from the next revision on, and list again when the
 * watch cannot go on.
 *
 * - The store shows true states of etcd only, in the order of their revisions, within one epoch.
 * - A failure of etcd, of any kind or length, changes nothing in the store; it is seen in `state`.
 * - What a watch cannot tell is found by comparison, from time to time and after each resume (`Audit`), and
 *   mended by a list; the state stays.
 * - Beyond the limits nothing is taken in: `state` has the error `SD_LIMIT_EXCEEDED`, until there is less.
 * - It retries for ever, with backoff; it ends only by `close()`, or with its client.
 */
export class Reflector implements AsyncDisposable {
  readonly #ports: ReflectorPorts;
  readonly #range: KeyRange;
  readonly #store: Store;
  readonly #machine: ReflectorMachine;
  /** Ends what is asked. */
  readonly #abort = new Cancellation();
  readonly #pages = new PageSize();
  readonly #run: Promise<void>;
  readonly #limits: Limits;
  readonly #checkEveryMs: number;
  readonly #held: Held;
  #following: Following | undefined;
  #repairs = 0;

  /** @throws SdError `SD_INVALID_ARGUMENT` for an option that cannot work. */
  constructor(ports: ReflectorPorts, options: ReflectorOptions) {
    const { range, store, revision, checkEveryMs = CHECK_EVERY_MS } = options;
    const { maxKeys = defaultLimits.maxKeys, maxBytes = defaultLimits.maxBytes } = options;
    this.#limits = { maxKeys, maxBytes };
    checkLimits(this.#limits);
    // A `bigint` would pass a comparison, and end the process with the first audit.
    if (!(typeof checkEveryMs === "number" && checkEveryMs >= MIN_CHECK_EVERY_MS)) {
      throw invalidArgument("checkEveryMs", `a number of at least ${MIN_CHECK_EVERY_MS}`, checkEveryMs);
    }
    this.#ports = ports;
    this.#range = range;
    this.#store = store;
    this.#checkEveryMs = checkEveryMs;
    this.#machine = new ReflectorMachine(ports.clock);
    this.#held = { history: undefined, listedAt: Number.NEGATIVE_INFINITY, bytes: 0, finding: undefined };
    if (revision !== undefined) {
      this.#held.listedAt = ports.clock.now();
      this.#held.history = { position: { revision, epoch: 1 }, clusterId: undefined, anchor: undefined };
    }
    this.#run = this.#loop();
  }

  get state(): ReflectorState {
    return this.#machine.state;
  }

  /** The cluster that answers; `undefined` until etcd has told. */
  get clusterId(): bigint | undefined {
    return this.#held.history?.clusterId;
  }

  /**
   * Goes on from what the store holds now, which another process had seen: stale, until it is replaced by a list,
   * which is compared with it as with all that was seen before.
   *
   * @throws SdError `SD_INVARIANT` once a list is in, or after the end.
   */
  restore({ revision, clusterId, since }: Seen): void {
    const { state } = this;
    if (this.#held.history || state.status !== "syncing") {
      throw new SdError("SD_INVARIANT", "nothing can be restored after the first list");
    }
    // A list that is on its way sees that it was begun without, and is read again.
    this.#held.history = { position: { revision, epoch: 1 }, clusterId, anchor: undefined };
    this.#machine.restore(since, state.error ?? new SdError("SD_UNAVAILABLE", "etcd has not answered yet"));
  }

  /** Calls `listener` on every change of state, in order. */
  subscribe(listener: StateListener<ReflectorState>): Disposable {
    return this.#machine.subscribe(listener);
  }

  /** Ends the watch and all retries. The store is left as it is. Idempotent. */
  async close(): Promise<void> {
    this.#end();
    await this.#run;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(): void {
    if (this.#abort.aborted) return;
    this.#abort.abort(new SdError("SD_CLOSED", "the reflector is closed"));
    this.#following?.end();
    this.#machine.close();
  }

  async #loop(): Promise<void> {
    const { clock, random } = this.#ports;
    let backoff = Backoff.start();
    let mustList = this.#held.history === undefined;
    while (!this.#abort.aborted) {
      const triedAt = clock.now();
      this.#following = undefined;
      let isListed = false;
      let failure: unknown;
      try {
        // What it made is not to be kept by this function, which waits for as long as the watch lasts.
        if (mustList) await this.#list();
        if (this.#abort.aborted) return;
        mustList = true;
        isListed = true;
        this.#following = this.#follow();
        await this.#following.over;
      } catch (error) {
        if (this.#abort.aborted) return;
        // The client is closed: there is nothing to wait for.
        if (SdError.is(error, "SD_CLOSED")) return this.#end();
        publish("sd:reflector:failed", () => ({ prefix: printableRange(this.#range), error }));
        this.#machine.fall(error);
        failure = error;
      }
      const liveSince = this.#following?.liveSince ?? Number.POSITIVE_INFINITY;
      if (clock.now() - liveSince > HEALTHY_MS) backoff = Backoff.start();
      const triedMs = isListed ? 0 : clock.now() - triedAt;
      const pauseMs = retryDelayMs(failure, backoff, random, { triedMs });
      if (this.#abort.aborted) return;
      await sleep(clock, pauseMs, this.#abort).catch(() => {});
      backoff = backoff.next();
    }
  }

  async #list(): Promise<void> {
    const { clock } = this.#ports;
    const startedAt = clock.now();
    // A comparison may have seen in the past what a list of the present cannot show.
    const { finding } = this.#held;
    const seen = finding === "another-past" || finding === "another-cluster" ? finding : undefined;
    let intake = await this.#read(seen, false);
    const { history } = this.#held;
    if (history && intake.history.position.revision < history.position.revision) {
      await sleep(clock, CONFIRM_MS, this.#abort);
      intake = await this.#read(seen, true);
    }
    this.#held.listedAt = startedAt;
    publish("sd:reflector:listed", () => ({
      prefix: printableRange(this.#range),
      revision: intake.history.position.revision,
      keys: intake.keys,
      durationMs: clock.now() - startedAt,
    }));
    if (!this.#abort.aborted) this.#replace(intake);
  }

  async #read(broken: HistoryBreak | undefined, elsewhere: boolean): Promise<Intake> {
    const { transport, lists, clock } = this.#ports;
    const { history } = this.#held;
    const intake = new Intake({ store: this.#store, history, limits: this.#limits, broken });
    const isTaken = await listRange(transport, this.#range, {
      clock,
      pages: this.#pages,
      first: lists,
      elsewhere,
      cancellation: this.#abort,
      onPage: (page) => intake.check(page),
      take: (slice) => this.#held.history === history && intake.take(slice),
    });
    return isTaken ? intake : this.#read(intake.broken, elsewhere);
  }

  #replace(intake: Intake): void {
    const { history, broken, bytes } = intake;
    const { revision, epoch } = history.position;
    const { finding } = this.#held;
    this.#held.finding = undefined;
    this.#held.history = history;
    this.#held.bytes = bytes;
    if (broken) {
      publish("sd:epoch:begun", () => ({
        prefix: printableRange(this.#range),
        revision,
        epoch,
        reason: broken,
      }));
    }
    intake.replace();
    if (!finding) return;
    this.#repairs += 1;
    publish("sd:reflector:repaired", () => ({
      prefix: printableRange(this.#range),
      revision,
      finding,
      repairs: this.#repairs,
    }));
  }

  /** Watches from where the store stands. */
  #follow(): Following {
    const { transport, watches, clock, random, audits = auditSchedule(clock) } = this.#ports;
    return new Following({
      transport,
      watches,
      audits,
      clock,
      random,
      range: this.#range,
      store: this.#store,
      held: this.#held,
      limits: this.#limits,
      checkEveryMs: this.#checkEveryMs,
      machine: this.#machine,
      abort: this.#abort,
    });
  }
}
