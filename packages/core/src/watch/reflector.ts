import { retryDelayMs } from "../etcd/retry.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { KeyValue } from "../etcd/types.js";
import { Backoff } from "../kit/backoff.js";
import { publish } from "../kit/channels.js";
import { type Clock, sleep } from "../kit/clock.js";
import { deferred } from "../kit/deferred.js";
import { invalidArgument, SdError } from "../kit/errors.js";
import { Machine, type StateListener, type Transitions } from "../kit/machine.js";
import type { Random } from "../kit/random.js";
import { Audit } from "./audit.js";
import type { Finding } from "./compare.js";
import type { FirstPages } from "./first-pages.js";
import { HeldBack } from "./held-back.js";
import { anchorOf, clusterOf, type History, type HistoryBreak, isSameCluster, newestPut } from "./history.js";
import { Intake } from "./intake.js";
import { type KeyRange, printableRange } from "./key-range.js";
import { bytesAdded, checkLimits, defaultLimits, keysAfter, type Limits } from "./limits.js";
import { listRange } from "./list.js";
import { PageSize } from "./page-size.js";
import type { Position, Store } from "./store.js";
import { type Gap, Watch, type WatchSink } from "./watch.js";
import type { WatchHub } from "./watch-hub.js";

/**
 * How the store stands to etcd.
 *
 * - `syncing`: not yet complete. `error` is why the last try failed, if one did.
 * - `live`: complete, and every change arrives: at most 15 s late, whatever the network does.
 * - `stale`: complete as of `since` (on the client's clock), and true to nothing later. It is kept. Ends when
 *   the watch stands again and has caught up.
 * - `closed`.
 */
export type ReflectorState =
  | { readonly status: "syncing"; readonly error: unknown }
  | { readonly status: "live" }
  | { readonly status: "stale"; readonly since: number; readonly error: unknown }
  | { readonly status: "closed" };

export const reflectorTransitions: Transitions<ReflectorState> = {
  syncing: ["syncing", "stale", "live", "closed"],
  live: ["stale", "closed"],
  stale: ["stale", "live", "closed"],
  closed: [],
};

/** What a reflector needs of its client. */
export interface ReflectorPorts {
  readonly transport: EtcdTransport;
  readonly watches: WatchHub;
  /** Lists that begin together. Default: each list by itself. */
  readonly lists?: FirstPages;
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

/** What becomes of a watch, as its sink tells. */
interface Following {
  onLive(): void;
  /** Up to which revision the watch has delivered: more than the store shows, if some of it is held back. */
  delivered(): number;
  /** A list is needed; nothing more of the watch is taken. */
  end(): void;
  /** etcd refuses. */
  fail(error: unknown): void;
}

/** After being live for so long, trouble is new trouble. */
const HEALTHY_MS = 30_000;
/** Two looks at a lower revision, so far apart, before the history is judged broken (etcd #20418). */
const CONFIRM_MS = 3_000;
/** A list that is no older is the present, as near as can be told: it is live as soon as it is watched. */
const FRESH_MS = 5_000;
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
  readonly #machine = new Machine<ReflectorState>(
    { status: "syncing", error: undefined },
    reflectorTransitions,
  );
  /** Ends what is asked; its signal is made for the first list or pause. */
  readonly #abort = new AbortController();
  #isClosed = false;
  #stopFollowing = (): void => {};
  readonly #pages = new PageSize();
  readonly #run: Promise<void>;
  readonly #limits: Limits;
  readonly #checkEveryMs: number;
  /** `undefined` before the first list. */
  #history: History | undefined;
  /** When the last list was begun, or what the store holds was handed over. */
  #listedAt = Number.NEGATIVE_INFINITY;
  /** Of what the store holds, at most: exact after a list. */
  #bytes = 0;
  /** What the last comparison has found, until a list has mended it. */
  #finding: Finding | undefined;
  #repairs = 0;

  /** @throws SdError `SD_INVALID_ARGUMENT` for an option that cannot work. */
  constructor(ports: ReflectorPorts, options: ReflectorOptions) {
    const { range, store, revision, checkEveryMs = CHECK_EVERY_MS } = options;
    const { maxKeys = defaultLimits.maxKeys, maxBytes = defaultLimits.maxBytes } = options;
    this.#limits = { maxKeys, maxBytes };
    checkLimits(this.#limits);
    if (!(checkEveryMs >= MIN_CHECK_EVERY_MS)) {
      throw invalidArgument("checkEveryMs", `at least ${MIN_CHECK_EVERY_MS}`, checkEveryMs);
    }
    this.#ports = ports;
    this.#range = range;
    this.#store = store;
    this.#checkEveryMs = checkEveryMs;
    if (revision !== undefined) {
      this.#listedAt = ports.clock.now();
      this.#history = { position: { revision, epoch: 1 }, clusterId: undefined, anchor: undefined };
    }
    this.#run = this.#loop();
  }

  get state(): ReflectorState {
    return this.#machine.state;
  }

  /** The cluster that answers; `undefined` until etcd has told. */
  get clusterId(): bigint | undefined {
    return this.#history?.clusterId;
  }

  /**
   * Goes on from what the store holds now, which another process had seen: stale, until it is replaced by a list,
   * which is compared with it as with all that was seen before.
   *
   * @throws SdError `SD_INVARIANT` once a list is in, or after the end.
   */
  restore({ revision, clusterId, since }: Seen): void {
    const { state } = this;
    if (this.#history || state.status !== "syncing") {
      throw new SdError("SD_INVARIANT", "nothing can be restored after the first list");
    }
    // A list that is on its way sees that it was begun without, and is read again.
    this.#history = { position: { revision, epoch: 1 }, clusterId, anchor: undefined };
    const error = state.error ?? new SdError("SD_UNAVAILABLE", "etcd has not answered yet");
    this.#machine.enter({ status: "stale", since, error });
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
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#abort.abort(new SdError("SD_CLOSED", "the reflector is closed"));
    this.#stopFollowing();
    this.#machine.enter({ status: "closed" });
  }

  async #loop(): Promise<void> {
    const { clock, random } = this.#ports;
    let backoff = Backoff.start();
    let mustList = this.#history === undefined;
    while (!this.#isClosed) {
      const triedAt = clock.now();
      let liveSince = Number.POSITIVE_INFINITY;
      let isListed = false;
      let failure: unknown;
      try {
        if (mustList) {
          const intake = await this.#list();
          if (this.#isClosed) return;
          this.#replace(intake);
        }
        mustList = true;
        isListed = true;
        await this.#follow(() => {
          liveSince = Math.min(liveSince, clock.now());
        });
      } catch (error) {
        if (this.#isClosed) return;
        // The client is closed: there is nothing to wait for.
        if (SdError.is(error, "SD_CLOSED")) return this.#end();
        publish("sd:reflector:failed", () => ({ prefix: printableRange(this.#range), error }));
        this.#fall(error);
        failure = error;
      }
      if (clock.now() - liveSince > HEALTHY_MS) backoff = Backoff.start();
      const triedMs = isListed ? 0 : clock.now() - triedAt;
      const pauseMs = retryDelayMs(failure, backoff, random, { triedMs });
      if (this.#isClosed) return;
      await sleep(clock, pauseMs, this.#abort.signal).catch(() => {});
      backoff = backoff.next();
    }
  }

  async #list(): Promise<Intake> {
    const { clock } = this.#ports;
    const startedAt = clock.now();
    // A comparison may have seen in the past what a list of the present cannot show.
    const finding = this.#finding;
    const seen = finding === "another-past" || finding === "another-cluster" ? finding : undefined;
    let intake = await this.#read(seen, false);
    if (this.#history && intake.history.position.revision < this.#history.position.revision) {
      await sleep(clock, CONFIRM_MS, this.#abort.signal);
      intake = await this.#read(seen, true);
    }
    this.#listedAt = startedAt;
    publish("sd:reflector:listed", () => ({
      prefix: printableRange(this.#range),
      revision: intake.history.position.revision,
      keys: intake.keys,
      durationMs: clock.now() - startedAt,
    }));
    return intake;
  }

  async #read(broken: HistoryBreak | undefined, elsewhere: boolean): Promise<Intake> {
    const { transport, lists = transport, clock } = this.#ports;
    const history = this.#history;
    const intake = new Intake({ store: this.#store, history, limits: this.#limits, broken });
    const slices = listRange(transport, this.#range, {
      clock,
      pages: this.#pages,
      first: lists,
      elsewhere,
      signal: this.#abort.signal,
      onPage: (page) => intake.check(page),
    });
    let isTaken = true;
    for await (const slice of slices) {
      isTaken = this.#history === history && intake.take(slice);
      if (!isTaken) break;
    }
    return isTaken ? intake : this.#read(intake.broken, elsewhere);
  }

  #replace(intake: Intake): void {
    const { history, broken, bytes } = intake;
    const { revision, epoch } = history.position;
    const finding = this.#finding;
    this.#finding = undefined;
    this.#history = history;
    this.#bytes = bytes;
    const prefix = printableRange(this.#range);
    if (broken) publish("sd:epoch:begun", () => ({ prefix, revision, epoch, reason: broken }));
    intake.replace();
    if (!finding) return;
    this.#repairs += 1;
    publish("sd:reflector:repaired", () => ({ prefix, revision, finding, repairs: this.#repairs }));
  }

  /** Watches from the position on. Resolves when a list is needed; rejects when etcd refuses. */
  async #follow(onLive: () => void): Promise<void> {
    const { revision } = (this.#history as History).position;
    const over = deferred<void>();
    // At once: what is on its way must find neither a closed reflector, nor one that has missed something.
    const end = (): void => {
      watch[Symbol.dispose]();
      held[Symbol.dispose]();
      audit[Symbol.dispose]();
      over.resolve();
    };
    const audit = this.#audit(end, () => held.release());
    const delivered = (): number => watch.revision;
    const sink = this.#sink(audit, { onLive, end, fail: over.reject, delivered });
    const held = new HeldBack(sink, audit, this.#ports.clock);
    const watch = new Watch(this.#ports.watches, this.#range, revision, held);
    this.#stopFollowing = end;
    if (this.#isClosed) end();
    try {
      await over.promise;
    } finally {
      end();
    }
  }

  #audit(end: () => void, onProved: () => void): Audit {
    const { transport, clock, random } = this.#ports;
    // Written out, as all that each of 1,000 discoveries makes: spread together, it takes 1.9 instead of 0.4 KB.
    return new Audit({
      transport,
      clock,
      random,
      range: this.#range,
      store: this.#store,
      checkEveryMs: this.#checkEveryMs,
      history: () => this.#history as History,
      onProved,
      onFinding: (finding) => {
        if (finding === "lower-revision") this.#fall(behindError());
        else this.#finding = finding;
        end();
      },
    });
  }

  #sink(audit: Audit, { onLive, delivered, end, fail }: Following): WatchSink {
    // Counts what the stream told of its standing: a read that it has overtaken says nothing any more.
    let standing = 0;
    let hasStood = false;
    const goLive = (): void => {
      onLive();
      const { status } = this.state;
      if (status === "syncing" || status === "stale") this.#machine.enter({ status: "live" });
    };
    const stand = (): void => {
      if (hasStood) audit.resume();
      else audit.begin();
      hasStood = true;
    };
    const fall = (error: unknown): void => {
      standing += 1;
      audit.pause();
      this.#fall(error);
    };
    return {
      onCreated: (header) => {
        standing += 1;
        const history = this.#history as History;
        if (isSameCluster(history, header)) {
          this.#history = { ...history, clusterId: clusterOf(history, header) };
          stand();
          if (this.#ports.clock.now() - this.#listedAt <= FRESH_MS) goLive();
          return;
        }
        fall(new SdError("SD_UNAVAILABLE", "another cluster answers"));
        end();
      },
      onCaughtUp: () => {
        if (!audit.isOver) goLive();
      },
      onBehind: () => {
        standing += 1;
        const asked = standing;
        this.#isPast(delivered()).then(
          (isPast) => {
            if (asked !== standing || audit.isOver) return;
            if (isPast) {
              stand();
              return goLive();
            }
            fall(behindError());
            end();
          },
          (error) => {
            if (asked === standing) fail(error);
          },
        );
      },
      onStale: () => audit.doubt(),
      onEvents: (events, revision) => {
        const keys = keysAfter(this.#store, events, this.#limits.maxKeys);
        this.#bytes += bytesAdded(events);
        // Too much, or perhaps too much: a list tells, and is refused if it is.
        if (keys > this.#limits.maxKeys || this.#bytes > this.#limits.maxBytes) return end();
        audit.note(events);
        if (this.#store.apply(events, this.#advance(revision, newestPut(events)))) return;
        this.#ports.watches.violated("contradiction");
        this.#fall(gapError("corrupt"));
        end();
      },
      onProgress: (revision) => this.#store.bookmark(this.#advance(revision)),
      onInterrupted: fall,
      onGap: (gap) => {
        fall(gapError(gap));
        end();
      },
      onRefused: (error) => {
        standing += 1;
        fail(error);
      },
    };
  }

  #advance(revision: number, newest?: KeyValue): Position {
    const { position, clusterId, anchor } = this.#history as History;
    this.#history = {
      position: { revision, epoch: position.epoch },
      clusterId,
      anchor: newest ? anchorOf(newest) : anchor,
    };
    return this.#history.position;
  }

  /** Whether etcd has reached `revision`: a read through the leader tells a lagging member from a wiped one. */
  async #isPast(revision: number): Promise<boolean> {
    const { key } = this.#range;
    const request = { key, limit: 1, keysOnly: true };
    const { header } = await this.#ports.transport.range(request, { signal: this.#abort.signal });
    return header.revision >= revision;
  }

  /** What we hold is no longer certain to be the present. */
  #fall(error: unknown): void {
    const { state } = this;
    if (state.status === "closed") return;
    if (state.status === "syncing") this.#machine.enter({ status: "syncing", error });
    else if (state.status === "stale") this.#machine.enter({ ...state, error });
    else this.#machine.enter({ status: "stale", since: this.#ports.clock.now(), error });
  }
}

function gapError(gap: Gap): SdError {
  return gap === "corrupt"
    ? new SdError("SD_INVARIANT", "the watch stream of etcd broke its own rules")
    : new SdError("SD_COMPACTED", `the watch cannot go on: ${gap}`);
}

function behindError(): SdError {
  return new SdError("SD_UNAVAILABLE", "etcd is behind what it has shown: wiped, or restored");
}
