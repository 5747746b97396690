import {
  type Deferred,
  defaultLimits,
  deferred,
  type EtcdClient,
  Listeners,
  once,
  type Position,
  prefixRange,
  Reflector,
  type ReflectorState,
  requireSignal,
  SdError,
  type StateListener,
  waitFor,
} from "@sd/core";
import { Cache, type Restoring } from "./cache.js";
import type { Change, ChangeListener } from "./change.js";
import { InstanceStore, type ReadEntry, type Written } from "./instance-store.js";
import {
  type CacheChoice,
  checkCache,
  checkWait,
  type DiscoveryOptions,
  type WaitOptions,
} from "./options.js";
import type { MakePicker, Picker } from "./picker.js";
import { readChanges, readSnapshots } from "./readers.js";
import { restore } from "./restore.js";
import { Retention } from "./retention.js";
import { Snapshot } from "./snapshot.js";

/**
 * How a discovery stands to etcd.
 *
 * - `syncing`: not yet complete; `error` is why the last try failed, if one did.
 * - `live`: complete, and every change arrives: at most 15 s late, whatever the network does.
 * - `stale`: etcd cannot be heard since `since` (on the client's clock); what was known is kept. If it is known
 *   from the cache file, `since` lies before the start.
 * - `closed`: the end; what was known is kept.
 */
export type DiscoveryState = ReflectorState;

/** For iterators. */
interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What a discovery discovers. @internal */
export interface Subject<T> {
  /** Ends with a slash. */
  readonly prefix: string;
  readonly read: ReadEntry<T>;
  readonly isPickable: (entry: T) => boolean;
  readonly makePicker: MakePicker<T>;
}

/**
 * Knows the live instances under a prefix, and picks one.
 *
 * - What it shows is what etcd held at one revision: never a mixture, never back in time within an epoch.
 *   Only after etcd has lost its history, or with `massLoss`, what is missing stays for a while (`retained`).
 * - No failure of etcd, of any kind or length, removes an instance, blocks a read or makes one throw;
 *   `state` tells that it is stale.
 * - Reads are local and synchronous.
 * - It ends only by `close()`.
 */
export class Discovery<T extends Written> implements AsyncDisposable {
  readonly prefix: string;
  readonly #client: EtcdClient;
  readonly #store: InstanceStore<T>;
  readonly #reflector: Reflector;
  readonly #attachment: Disposable;
  readonly #isPickable: (entry: T) => boolean;
  readonly #makePicker: MakePicker<T>;
  readonly #listeners = new Listeners<Parameters<ChangeListener<T>>>();
  readonly #ready = deferred<void>();
  /** Without a cache file the same. */
  readonly #usable: Deferred<void>;
  readonly #cache: Cache | undefined;
  #position: Position = { revision: 0, epoch: 1 };
  #changedAt: number;
  // What follows is made when it is first read: applying a change costs the change, not the number of
  // instances.
  #instances: readonly T[] | undefined;
  #snapshot: Snapshot<T> | undefined;
  /** From the first pick on it follows every change. */
  #picker: Picker<T> | undefined;
  readonly #retention: Retention;
  /** When what is being restored was last known to be the present. */
  #restoredSince: number | undefined;
  readonly #closeOnce = once(() => this.#close());

  /** @internal see `startDiscovery()` */
  constructor(client: EtcdClient, subject: Subject<T>, options: DiscoveryOptions = {}) {
    const { prefix, read, isPickable, makePicker } = subject;
    const { graceMs, checkEveryMs, maxKeys, maxBytes, massLoss } = options;
    // Written out, as all that each of 1,000 discoveries makes: see `Following`.
    this.#retention = new Retention({
      prefix,
      clock: client.clock,
      graceMs,
      massLoss,
      isHeard: () => this.state.status === "live",
      release: () => this.#store.release(this.#position),
    });
    const cache = checkCache(options);
    this.prefix = prefix;
    this.#client = client;
    this.#isPickable = isPickable;
    this.#makePicker = makePicker;
    this.#changedAt = client.clock.now();
    this.#ready.promise.catch(() => {});
    this.#usable = cache ? deferred() : this.#ready;
    if (cache) this.#usable.promise.catch(() => {});
    this.#store = new InstanceStore(read, (changes, position) => this.#change(changes, position), {
      retains: this.#retention.spansEpochs,
      holds: this.#retention.holds,
      isHeard: () => this.#listeners.size > 0 || this.#picker !== undefined,
    });
    const range = prefixRange(Buffer.from(prefix));
    this.#attachment = client.attach(this);
    try {
      this.#cache = cache && this.#cacheIn(cache, options);
      this.#reflector = new Reflector(client, {
        range,
        store: this.#cache?.store ?? this.#store,
        checkEveryMs,
        maxKeys,
        maxBytes,
      });
    } catch (error) {
      void this.#cache?.close();
      this.#attachment[Symbol.dispose]();
      throw error;
    }
    this.#reflector.subscribe((state) => {
      this.#cache?.follow(state);
      if (state.status !== "live") return;
      this.#ready.resolve();
      this.#usable.resolve();
    });
    if (this.#cache && cache) {
      void restore(this.#cache, {
        ...{ clock: client.clock, afterMs: cache.afterMs, states: this.#reflector },
        isUnknown: () => this.#isUnknown(),
        show: (restoring) => this.#show(restoring),
      });
    }
  }

  get state(): DiscoveryState {
    return this.#reflector.state;
  }

  /** Calls `listener` on every change of state, in order. */
  subscribe(listener: StateListener<DiscoveryState>): Disposable {
    return this.#reflector.subscribe(listener);
  }

  /**
   * Resolves once the prefix was listed completely and is watched. Waits as long as that takes, or
   * `timeoutMs`.
   *
   * @throws `signal.reason` when the signal aborts; the discovery goes on.
   * @throws SdError `SD_UNAVAILABLE` when the time is over, with what has failed last as its cause; the
   *   discovery goes on.
   * @throws SdError `SD_CLOSED` if it is closed before.
   */
  ready(options: WaitOptions = {}): Promise<void> {
    return this.#wait(this.#ready.promise, options);
  }

  /**
   * Resolves as `ready()`, or as soon as what the cache file holds is shown: then `state` is `stale`. What `discover()`
   * waits for.
   *
   * @throws as `ready()`.
   */
  usable(options: WaitOptions = {}): Promise<void> {
    return this.#wait(this.#usable.promise, options);
  }

  async #wait(promise: Promise<void>, options: WaitOptions): Promise<void> {
    checkWait(options);
    const { signal, timeoutMs } = options;
    const onTimeout = (): SdError => {
      const { state } = this;
      const cause = "error" in state ? state.error : undefined;
      const text = `the discovery of ${this.prefix} is not ready after ${timeoutMs} ms`;
      return new SdError("SD_UNAVAILABLE", text, cause === undefined ? {} : { cause });
    };
    await waitFor(promise, { clock: this.#client.clock, signal, timeoutMs, onTimeout });
  }

  /** The newest known. Revision 0 before the first list, if nothing was restored from the cache file. */
  get snapshot(): Snapshot<T> {
    this.#instances ??= this.#store.entries();
    this.#snapshot ??= new Snapshot(this.#instances, this.#position, this.#client.clock, this.#changedAt);
    return this.#snapshot;
  }

  /**
   * Why keys under the prefix are left out, by key: a copy, which later changes do not touch.
   *
   * Keys are shown as text, with control characters escaped (`\u000a`) and backslashes doubled. Of a key that
   * is not UTF-8, each byte above 0x7f is escaped (`\xff`). So no two keys are shown alike.
   */
  get rejected(): ReadonlyMap<string, unknown> {
    return this.#store.rejected;
  }

  /**
   * The keys of instances that etcd does not hold since it lost its history, or since too many went at once, and that
   * stay until they return or `graceMs` or `massLoss.holdMs` have passed: a copy. Their revisions are of the past.
   */
  get retained(): ReadonlySet<string> {
    return this.#store.retained;
  }

  /**
   * Picks an instance, as the balancer says, but none of weight 0. Synchronous; goes on with what is known
   * while etcd cannot be heard.
   *
   * @throws SdError `SD_NO_INSTANCE` if none is known, or all that are known have the weight 0; the message says
   *   which.
   */
  pick(): T {
    this.#picker ??= this.#newPicker();
    const picked = this.#picker.take();
    if (picked === undefined) throw this.#nothing();
    return picked;
  }

  /**
   * Calls `listener` with the changes of each message of etcd, in order and each once, synchronously from
   * the socket's read. No state between two changes of one revision is ever visible. Keep it short.
   */
  onChanges(listener: ChangeListener<T>): Disposable {
    return this.#listeners.add(listener);
  }

  /**
   * The changes, beginning with an `added` for each instance that is known now.
   *
   * A slow reader misses no instance: changes of one key that it has not read become one. Ends with
   * `close()`, also if some are unread; throws `signal.reason` when the signal aborts.
   */
  changes({ signal }: ReadOptions = {}): AsyncIterableIterator<Change<T>> {
    requireSignal(signal);
    return readChanges(this, signal);
  }

  /**
   * The snapshots, beginning with the newest, if the first list is complete or was restored.
   *
   * A slow reader gets the newest and may miss those before it. Ends with `close()`, also if one is unread;
   * throws `signal.reason` when the signal aborts.
   */
  snapshots({ signal }: ReadOptions = {}): AsyncIterableIterator<Snapshot<T>> {
    requireSignal(signal);
    return readSnapshots(this, signal);
  }

  /** Stops watching. Nothing is delivered after it resolves; what was known stays readable. Idempotent. */
  close(): Promise<void> {
    return this.#closeOnce();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const error = new SdError("SD_CLOSED", `the discovery of ${this.prefix} is closed`);
    this.#ready.reject(error);
    this.#usable.reject(error);
    this.#retention[Symbol.dispose]();
    await this.#reflector.close();
    await this.#cache?.close();
    // Not before: the client waits for what is attached, and lets the process end without it.
    this.#attachment[Symbol.dispose]();
    this.#listeners.clear();
  }

  #change(changes: readonly Change<T>[], position: Position): void {
    const isFirst = this.#position.revision === 0;
    const isNewEpoch = position.epoch > this.#position.epoch;
    this.#position = position;
    this.#retention.follow({ isRetaining: this.#store.isRetaining, isNewEpoch });
    this.#snapshot = undefined;
    if (changes.length === 0 && !isFirst && !isNewEpoch) return;
    this.#changedAt = this.#restoredSince ?? this.#client.clock.now();
    this.#instances = undefined;
    if (this.#picker) for (const change of changes) this.#follow(this.#picker, change);
    this.#listeners.emit(changes, position);
  }

  #cacheIn({ storage, path, maxAgeMs }: CacheChoice, { maxKeys, maxBytes }: DiscoveryOptions): Cache {
    const limits = {
      maxKeys: maxKeys ?? defaultLimits.maxKeys,
      maxBytes: maxBytes ?? defaultLimits.maxBytes,
    };
    return new Cache(this.#store, {
      ...{ storage, path, maxAgeMs, limits, prefix: this.prefix, clock: this.#client.clock },
      isSettled: () => !this.#store.isRetaining,
      clusterId: () => this.#reflector.clusterId,
    });
  }

  #isUnknown(): boolean {
    return this.#position.revision === 0 && this.state.status === "syncing";
  }

  #show({ seen, replace }: Restoring): void {
    this.#restoredSince = seen.since;
    replace();
    this.#restoredSince = undefined;
    // Who was told of it may have closed the discovery.
    if (this.state.status !== "syncing") return;
    this.#reflector.restore(seen);
    this.#usable.resolve();
  }

  #newPicker(): Picker<T> {
    const picker = this.#makePicker(this.#client.random);
    for (const instance of this.#store.entries()) if (this.#isPickable(instance)) picker.add(instance);
    return picker;
  }

  #follow(picker: Picker<T>, { type, instance }: Change<T>): void {
    if (type !== "removed" && this.#isPickable(instance)) picker.put(instance);
    else picker.delete(instance);
  }

  #nothing(): SdError {
    const known = this.snapshot.instances.length;
    return new SdError(
      "SD_NO_INSTANCE",
      known === 0
        ? `no instance of ${this.prefix} is known`
        : `no instance of ${this.prefix} can be picked: ${known} known, each of weight 0`,
    );
  }
}
