import { retryDelayMs } from "../etcd/retry.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { Header } from "../etcd/types.js";
import { Backoff } from "../kit/backoff.js";
import { publish } from "../kit/channels.js";
import { type Clock, sleep } from "../kit/clock.js";
import { type Deferred, deferred } from "../kit/deferred.js";
import { SdError } from "../kit/errors.js";
import { Machine, type StateListener, type Transitions } from "../kit/machine.js";
import type { Random } from "../kit/random.js";
import type { KeyRange } from "./key-range.js";
import { type Listing, listRange } from "./list.js";
import { PageSize } from "./page-size.js";
import type { Draft, Position, Store } from "./store.js";
import { type Gap, Watch, type WatchSink } from "./watch.js";
import type { WatchHub } from "./watch-hub.js";

/**
 * How the store stands to etcd.
 *
 * - `syncing`: not yet complete. `error` is why the last try failed, if one did.
 * - `live`: complete, and every change arrives.
 * - `stale`: complete as of `since` (on the client's clock), and true to nothing later. It is kept.
 * - `closed`.
 */
export type ReflectorState =
  | { readonly status: "syncing"; readonly error: unknown }
  | { readonly status: "live" }
  | { readonly status: "stale"; readonly since: number; readonly error: unknown }
  | { readonly status: "closed" };

export const reflectorTransitions: Transitions<ReflectorState> = {
  syncing: ["syncing", "live", "closed"],
  live: ["stale", "closed"],
  stale: ["stale", "live", "closed"],
  closed: [],
};

/** What a reflector needs of its client. */
export interface ReflectorPorts {
  readonly transport: EtcdTransport;
  readonly watches: WatchHub;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ReflectorOptions {
  readonly range: KeyRange;
  readonly store: Store;
  /** The store already holds the range as of this revision: begin with the watch. */
  readonly revision?: number;
}

/** After being live for so long, trouble is new trouble. */
const HEALTHY_MS = 30_000;
/** Two looks at a lower revision, so far apart, before the history is judged broken (etcd #20418). */
const CONFIRM_MS = 3_000;

/**
 * Keeps a store equal to a range of etcd: list, watch from the next revision on, and list again when the
 * watch cannot go on.
 *
 * - The store shows true states of etcd only, in the order of their revisions, within one epoch.
 * - A failure of etcd, of any kind or length, changes nothing in the store; it is seen in `state`.
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
  readonly #abort = new AbortController();
  readonly #pages = new PageSize();
  readonly #run: Promise<void>;
  /** What the store holds; `undefined` before the first list. */
  #position: Position | undefined;
  #clusterId: bigint | undefined;
  /** Of the list that is under way. */
  #draft: Draft | undefined;

  constructor(ports: ReflectorPorts, { range, store, revision }: ReflectorOptions) {
    this.#ports = ports;
    this.#range = range;
    this.#store = store;
    if (revision !== undefined) this.#position = { revision, epoch: 1 };
    this.#run = this.#loop();
  }

  get state(): ReflectorState {
    return this.#machine.state;
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
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(new SdError("SD_CLOSED", "the reflector is closed"));
    this.#machine.enter({ status: "closed" });
  }

  async #loop(): Promise<void> {
    const { clock, random } = this.#ports;
    const { signal } = this.#abort;
    let backoff = Backoff.start();
    let mustList = this.#position === undefined;
    while (!signal.aborted) {
      let liveSince = Number.POSITIVE_INFINITY;
      let delayMs: number;
      try {
        if (mustList) {
          const listing = await this.#list();
          signal.throwIfAborted();
          this.#replace(listing);
        }
        mustList = true;
        await this.#follow(() => {
          liveSince = Math.min(liveSince, clock.now());
        });
        delayMs = backoff.delayMs(random);
      } catch (error) {
        if (signal.aborted) return;
        // The client is closed: there is nothing to wait for.
        if (SdError.is(error, "SD_CLOSED")) return this.#end();
        publish("sd:reflector:failed", () => ({ prefix: printable(this.#range.key), error }));
        this.#fall(error);
        delayMs = retryDelayMs(error, backoff, random);
      }
      backoff = clock.now() - liveSince > HEALTHY_MS ? Backoff.start() : backoff.next();
      await sleep(clock, delayMs, signal).catch(() => {});
    }
  }

  async #list(): Promise<Listing> {
    const { transport, clock } = this.#ports;
    const { signal } = this.#abort;
    const startedAt = clock.now();
    const draft = (header: Header): Draft | undefined => {
      this.#draft = this.#store.draft?.(this.#positionAt(header));
      return this.#draft;
    };
    const options = { clock, pages: this.#pages, draft, signal };
    let listing = await listRange(transport, this.#range, options);
    if (this.#position && listing.header.revision < this.#position.revision) {
      await sleep(clock, CONFIRM_MS, signal);
      listing = await listRange(transport, this.#range, options);
    }
    publish("sd:reflector:listed", () => ({
      prefix: printable(this.#range.key),
      revision: listing.header.revision,
      keys: listing.count,
      durationMs: clock.now() - startedAt,
    }));
    return listing;
  }

  #replace({ kvs, header }: Listing): void {
    const draft = this.#draft;
    this.#draft = undefined;
    this.#position = this.#positionAt(header);
    this.#clusterId = header.clusterId;
    if (draft) draft.replace();
    else this.#store.replace(kvs, this.#position);
  }

  /** Where a list leads to. */
  #positionAt({ revision, clusterId }: Header): Position {
    const before = this.#position;
    const isBroken =
      before !== undefined &&
      (revision < before.revision || (this.#clusterId !== undefined && clusterId !== this.#clusterId));
    return { revision, epoch: (before?.epoch ?? 1) + (isBroken ? 1 : 0) };
  }

  /** Watches from the position on. Resolves when a list is needed; rejects when etcd refuses. */
  async #follow(onLive: () => void): Promise<void> {
    const position = this.#position as Position;
    const over = deferred<void>();
    using watch = new Watch(this.#ports.watches, this.#range, position.revision, this.#sink(onLive, over));
    // At once: what is on its way must not find a closed reflector.
    const onAbort = (): void => {
      watch[Symbol.dispose]();
      over.resolve();
    };
    this.#abort.signal.addEventListener("abort", onAbort, { once: true });
    if (this.#abort.signal.aborted) onAbort();
    try {
      await over.promise;
    } finally {
      this.#abort.signal.removeEventListener("abort", onAbort);
    }
  }

  #sink(onLive: () => void, over: Deferred<void>): WatchSink {
    const advance = (revision: number): Position => {
      this.#position = { revision, epoch: this.#position?.epoch ?? 1 };
      return this.#position;
    };
    const live = (): void => {
      onLive();
      const { status } = this.state;
      if (status === "syncing" || status === "stale") this.#machine.enter({ status: "live" });
    };
    // Counts what the stream told of its standing: a read that it has overtaken says nothing any more.
    let standing = 0;
    return {
      onCreated: () => {
        standing += 1;
        live();
      },
      onBehind: () => {
        standing += 1;
        const asked = standing;
        this.#isPast(this.#position?.revision ?? 0).then(
          (isPast) => {
            if (asked !== standing) return;
            if (isPast) return live();
            this.#fall(new SdError("SD_UNAVAILABLE", "etcd is behind what it has shown: wiped, or restored"));
            over.resolve();
          },
          (error) => {
            if (asked === standing) over.reject(error);
          },
        );
      },
      onEvents: (events, revision) => this.#store.apply(events, advance(revision)),
      onProgress: (revision) => this.#store.bookmark(advance(revision)),
      onInterrupted: (error) => {
        standing += 1;
        this.#fall(error);
      },
      onGap: (gap) => {
        standing += 1;
        this.#fall(gapError(gap));
        over.resolve();
      },
      onRefused: (error) => {
        standing += 1;
        over.reject(error);
      },
    };
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
    ? new SdError("SD_INVARIANT", "etcd delivered events out of order, or of other keys")
    : new SdError("SD_COMPACTED", `the watch cannot go on: ${gap}`);
}

function printable(key: Uint8Array): string {
  return Buffer.from(key).toString("utf8");
}
