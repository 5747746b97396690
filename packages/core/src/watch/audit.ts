import { failureOf } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { WatchEvent } from "../etcd/types.js";
import { publish } from "../kit/channels.js";
import type { Clock, Timer } from "../kit/clock.js";
import { type Random, uniform } from "../kit/random.js";
import { Schedule, type Scheduled } from "../kit/schedule.js";
import { sleep } from "../kit/signals.js";
import { type Comparison, compareAll, compareAnchor, compareCount, type Finding } from "./compare.js";
import type { Anchor, History } from "./history.js";
import { type KeyRange, printableRange } from "./key-range.js";
import type { Store } from "./store.js";
import { StoreView } from "./store-view.js";

export interface AuditOptions {
  readonly transport: EtcdTransport;
  readonly clock: Clock;
  readonly random: Random;
  /** When the complete comparisons are due. */
  readonly audits: Schedule<Audit>;
  readonly range: KeyRange;
  readonly store: Pick<Store, "size" | "revisionOf" | "isHeld">;
  /** Where the store stands now. */
  readonly history: () => History;
  /** See `periodMs()`. */
  readonly checkEveryMs: number;
  /** Called when the past has been seen to be the one that was known before the resume, or cannot be seen any more. */
  readonly onProved: () => void;
  /** Called in the end of a comparison that has found something. */
  readonly onFinding: (finding: Finding) => void;
}

/** The anchor is looked at so soon after a resume: a thousand discoverers do not ask in one moment. */
const ANCHOR_MS = [0, 2_000] as const;
/** A complete comparison follows a resume, or one that failed, so soon. */
const SOON_MS = [5_000, 60_000] as const;
/** After something odd, a complete comparison comes within so long. */
const DOUBT_MS = 1_000;
/** A change that etcd has committed is no longer on its way after so long, while the watch is live. */
const LAG_MS = 5_000;
/** Nor, usually, after so long; what comes later costs a list in vain. */
const ARRIVAL_MS = 2_000;

/**
 * The time between two comparisons: in proportion to the number of keys, from `checkEveryMs` for up to 1,000
 * to ten times as long, and half more or less by chance.
 */
export function periodMs(keys: number, checkEveryMs: number, random: Random): number {
  const factor = Math.min(Math.max(keys / 1_000, 1), 10);
  return checkEveryMs * factor * uniform(random, 0.5, 1.5);
}

/** One for all audits of a client: a timer each would be 0.5 KB of each discovery. */
export function auditSchedule(clock: Clock): Schedule<Audit> {
  return new Schedule(clock, 0, (audit) => audit.compare());
}

/**
 * Compares a store with etcd from time to time, while its watch stands: for what a watch cannot tell.
 *
 * etcd can lose a delete (#18089, #19179), and a wiped etcd that has grown beyond our revision looks like
 * the one that we knew. A comparison that fails, or that is overtaken, says nothing and is repeated.
 */
export class Audit implements Scheduled, Disposable {
  /** For its schedule: of the next complete comparison. */
  dueAt = Number.POSITIVE_INFINITY;
  heapIndex = -1;
  readonly #options: AuditOptions;
  #anchorTimer: Timer | undefined;
  #running: AbortController | undefined;
  /** Of the comparison that runs. */
  #view: StoreView | undefined;
  /** As it was before the resume: what has come since may be of another history. */
  #unproved: Anchor | undefined;
  #isOver = false;

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  /** Whether it was disposed: nothing is compared any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The watch stands, right after a complete list. */
  begin(): void {
    this.#scheduleNext();
  }

  /** The watch stands again after an interruption. */
  resume(): void {
    const { clock, random, range, history } = this.#options;
    this.#scheduleSoon();
    // One key alone is soon compared as a whole, and ten thousand of them would be too many at once.
    if (range.rangeEnd === undefined) return;
    this.#unproved ??= history().anchor;
    this.#stopAnchor();
    this.#anchorTimer = clock.setTimer(uniform(random, ...ANCHOR_MS), () => this.#lookBack());
  }

  /** Whether what has come since a resume may be of another history, and the anchor will tell. */
  get isUnproved(): boolean {
    return this.#unproved !== undefined;
  }

  /** Something waits for the anchor to be looked at: does it now. */
  hurry(): void {
    if (this.#unproved && !this.#running) this.#lookBack();
  }

  /** The watch does not stand: nothing can be compared. */
  pause(): void {
    this.#options.audits.delete(this);
    this.#stopAnchor();
    this.#running?.abort();
    this.#running = undefined;
    this.#view = undefined;
  }

  /** Something was odd: compares soon. */
  doubt(): void {
    if (this.#running || (this.#isDue && this.dueAt <= this.#options.clock.now() + DOUBT_MS)) return;
    this.#schedule(DOUBT_MS);
  }

  /** Compares all keys now. For its schedule. */
  compare(): void {
    this.#run("all");
  }

  /** To be called before the store applies `events`. */
  note(events: readonly WatchEvent[]): void {
    this.#view?.note(events);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.pause();
  }

  #lookBack(): void {
    this.#stopAnchor();
    // It breaks off a complete comparison, which is then made up for.
    if (this.#running && !this.#isDue) this.#scheduleSoon();
    this.#run("anchor");
  }

  #stopAnchor(): void {
    this.#anchorTimer?.[Symbol.dispose]();
    this.#anchorTimer = undefined;
  }

  #scheduleSoon(): void {
    this.#schedule(uniform(this.#options.random, ...SOON_MS));
  }

  #scheduleNext(): void {
    const { store, checkEveryMs, random } = this.#options;
    this.#schedule(periodMs(store.size, checkEveryMs, random));
  }

  #schedule(delayMs: number): void {
    const { audits, clock } = this.#options;
    audits.set(this, clock.now() + delayMs);
  }

  /** Whether a complete comparison is due some time. */
  get #isDue(): boolean {
    return this.heapIndex !== -1;
  }

  #run(scope: "anchor" | "all"): void {
    const { clock, range, history, onFinding } = this.#options;
    const startedAt = clock.now();
    const { revision } = history().position;
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    const end = (outcome: Finding | "equal" | "failed"): void => {
      if (this.#running !== running) return;
      this.#running = undefined;
      this.#view = undefined;
      const durationMs = clock.now() - startedAt;
      publish("sd:reflector:checked", () => ({
        ...{ prefix: printableRange(range), revision, scope, outcome, durationMs },
      }));
      if (outcome === "failed") this.#scheduleSoon();
      else if (outcome !== "equal") onFinding(outcome);
      else if (scope === "all") this.#scheduleNext();
    };
    this.#compare(scope, running.signal).then(
      (finding) => end(finding ?? "equal"),
      () => end("failed"),
    );
  }

  async #compare(scope: "anchor" | "all", signal: AbortSignal): Promise<Finding | undefined> {
    const { clock, onProved } = this.#options;
    if (scope === "anchor" || this.#unproved) {
      const finding = await compareAnchor(this.#comparison(signal), this.#unproved);
      if (finding && finding !== "compacted") return finding;
      signal.throwIfAborted();
      this.#unproved = undefined;
      onProved();
      // What we know is as of a revision that etcd has forgotten: usual where nothing changes.
      const arrival = (): Promise<void> => sleep(clock, ARRIVAL_MS, signal);
      const lost = finding && (await compareCount(this.#comparison(signal), arrival));
      if (lost) return lost;
      if (scope === "anchor") return undefined;
    }
    try {
      return await compareAll(this.#comparison(signal), "seen");
    } catch (error) {
      if (failureOf(error) !== "compacted") throw error;
    }
    const finding = await compareAll(this.#comparison(signal), "now");
    if (finding !== "lost-change") return finding;
    await sleep(clock, LAG_MS, signal);
    return compareAll(this.#comparison(signal), "now");
  }

  #comparison(signal: AbortSignal): Comparison {
    const { transport, range, store } = this.#options;
    const history = this.#options.history();
    const view = new StoreView(store, history.position.revision);
    this.#view = view;
    return { transport, range, history, view, signal };
  }
}
