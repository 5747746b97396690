import {
  Backoff,
  Cancellation,
  type Clock,
  deferred,
  type EtcdClient,
  isLasting,
  isNotApplied,
  type KeyValue,
  type Lease,
  type LeaseState,
  type Position,
  retryDelayMs,
  SdError,
  sleep,
} from "@sd/core";
import { claim, type Owned } from "./claim.js";
import type { Contents } from "./contents.js";
import type { LeaseGroup } from "./lease-group.js";
import type { LossReason } from "./registration-state.js";

/** Why a key is not held any more. */
export type Ending =
  | { readonly type: "lost"; readonly reason: LossReason }
  | { readonly type: "taken"; readonly by: KeyValue }
  /** It is under our lease, with a value that we did not write. */
  | { readonly type: "changed" }
  | { readonly type: "closed" };

export interface HoldingOptions<Update> {
  readonly client: EtcdClient;
  readonly key: Uint8Array;
  readonly lease: Lease;
  readonly contents: Contents<Update>;
  /** What the claim has found. */
  readonly owned: Owned;
  readonly group: LeaseGroup;
  /** Called when an update was written, and with an error when it could not be yet. */
  onWritten(revision: number, error?: unknown): void;
  /** Called once, in the same turn in which it becomes known. */
  onEnd(ending: Ending): void;
}

/**
 * The time during which a key is ours: watches it, and writes updates meanwhile.
 *
 * It ends when the lease is lost, when the key is deleted, taken or changed by others, or when it is told
 * to. A failing update does not end it: it is tried again, or, if etcd refuses it for good, taken back.
 */
export class Holding<Update> {
  readonly #options: HoldingOptions<Update>;
  #isOver = false;
  /** Ends what is written or waited for. */
  readonly #abort = new Cancellation();
  /** Of the newest state of the key that we know and accept, in this epoch. */
  #revision: number;
  #epoch = 1;
  /** The newest state that the watch has shown; `undefined` if the key is gone. */
  #seen: ({ readonly current: KeyValue | undefined } & Position) | undefined;
  /** Pending while updates are being written. */
  #writing: Promise<void> | undefined;
  /** Until a write is answered, nobody knows which of what the watch shows is older. */
  #isClaiming = false;
  readonly #ended = deferred<Ending>();

  constructor(options: HoldingOptions<Update>) {
    this.#options = options;
    this.#revision = options.owned.revision;
  }

  /** Holds until the end; tells what that was when nothing of it is left. */
  async run(): Promise<Ending> {
    const { group, key, lease, owned } = this.#options;
    const guard = group.watch(
      key,
      { revision: owned.storeRevision, held: { modRevision: owned.revision, lease: lease.id } },
      (current, position) => {
        this.#seen = { current, ...position };
        if (!this.#isClaiming) this.#judge();
      },
    );
    const judgeLease = (state: LeaseState): void => {
      if (state.status === "lost") this.end({ type: "lost", reason: `lease-${state.reason}` });
    };
    const subscription = lease.subscribe(judgeLease);
    judgeLease(lease.state);
    this.update();
    const ending = await this.#ended.promise;
    subscription[Symbol.dispose]();
    await this.#writing;
    await guard.close();
    return ending;
  }

  /** Whether the lease is not proved to live any more, whoever has been told that yet. */
  get isOverdue(): boolean {
    const { lease, client } = this.#options;
    return !this.#isOver && isPastDeadline(lease, client.clock);
  }

  /** There may be an update to write. */
  update(): void {
    this.#writing ??= this.#isDone ? undefined : this.#write();
  }

  get #isDone(): boolean {
    return this.#isOver || this.#options.contents.isWritten;
  }

  end(ending: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#abort.abort(new SdError("SD_CLOSED", "the key is not held any more"));
    this.#options.onEnd(ending);
    this.#ended.resolve(ending);
  }

  /** Writes each update as it comes, until there is none or the end. Never rejects. */
  async #write(): Promise<void> {
    const { client, contents, group, onWritten } = this.#options;
    const first = Backoff.start({ capMs: group.capMs });
    let backoff = first;
    while (!this.#isDone) {
      try {
        await this.#writeOnce();
        backoff = first;
      } catch (error) {
        if (this.#isOver) break;
        if (isNotApplied(error) && isLasting(error)) {
          contents.revert(error);
          onWritten(this.#revision);
        } else {
          onWritten(this.#revision, error);
          await sleep(client.clock, retryDelayMs(error, backoff, client.random), this.#abort).catch(() => {});
          await client.retries.spend(error, { signal: this.#abort }).catch(() => {});
          backoff = backoff.next();
        }
      }
    }
    this.#writing = undefined;
  }

  async #writeOnce(): Promise<void> {
    const { client, group, key, lease, contents, onWritten } = this.#options;
    const { wanted, wantedVersion } = contents;
    this.#isClaiming = true;
    try {
      const result = await claim(group.writes, {
        key,
        value: wanted.value,
        lease: lease.id,
        expected: this.#revision,
        mayReplace: () => false,
        cancellation: this.#abort,
      });
      client.retries.succeeded();
      if (result.type === "foreign") {
        this.end({ type: "taken", by: result.current });
        return;
      }
      this.#revision = result.revision;
      contents.wrote(wanted, wantedVersion);
      onWritten(result.revision);
    } catch (error) {
      if (SdError.is(error, "SD_LEASE_LOST")) lease.lose("expired");
      throw error;
    } finally {
      this.#isClaiming = false;
      this.#judge();
    }
  }

  /** Looks at what the watch has shown last, unless a later write of ours has made it history. */
  #judge(): void {
    const seen = this.#seen;
    this.#seen = undefined;
    if (!seen || this.#isOver) return;
    const { current, revision, epoch } = seen;
    // Revisions of another history say nothing about ours: etcd may have kept the lease, and lost the key.
    if (epoch === this.#epoch && revision <= this.#revision) return;
    this.#epoch = epoch;
    if (!current) this.end({ type: "lost", reason: "key-deleted" });
    else if (current.lease !== this.#options.lease.id) this.end({ type: "taken", by: current });
    else if (this.#options.contents.recognises(current.value)) {
      if (current.modRevision === this.#revision) return;
      this.#revision = current.modRevision;
      this.#options.onWritten(current.modRevision);
    } else this.end({ type: "changed" });
  }
}

/** Whether a lease is not proved to live any more, though it has not been told yet. */
export function isPastDeadline({ state }: Lease, clock: Clock): boolean {
  return state.status === "active" && clock.now() >= state.deadline;
}
