import type { Header, WatchEvent } from "../etcd/types.js";
import type { Clock, Timer } from "../kit/clock.js";
import type { Audit } from "./audit.js";
import type { Gap, WatchSink } from "./watch.js";

/** However long the proof takes: what is late is shown all the same. */
const MAX_HOLD_MS = 2_000;

/**
 * Holds back what comes after a resume, until the audit has seen that etcd's past is still the one that was
 * known: a wiped etcd that has grown beyond our revision tells a history that is not ours.
 *
 * The first event after a resume waits for one read, all others pass. What is held back when the watch ends
 * is dropped: a list follows.
 */
export class HeldBack implements WatchSink, Disposable {
  readonly #sink: WatchSink;
  readonly #audit: Audit;
  readonly #clock: Clock;
  #held: (() => void)[] = [];
  /** Once for each resume: if the proof took too long, it is not waited for again. */
  #mayHold = false;
  #isCaughtUp = false;
  #timer: Timer | undefined;

  constructor(sink: WatchSink, audit: Audit, clock: Clock) {
    this.#sink = sink;
    this.#audit = audit;
    this.#clock = clock;
  }

  /** The past is the one that was known, as far as can be told. */
  release(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#mayHold = false;
    const held = this.#held;
    this.#held = [];
    for (const tell of held) if (!this.#audit.isOver) tell();
    if (this.#isCaughtUp) this.#sink.onCaughtUp();
    this.#isCaughtUp = false;
  }

  onCreated(header: Header): void {
    this.#mayHold = true;
    this.#sink.onCreated(header);
    if (this.#timer) this.#audit.hurry();
  }

  onCaughtUp(): void {
    if (this.#timer) this.#isCaughtUp = true;
    else this.#sink.onCaughtUp();
  }

  onBehind(revision: number): void {
    this.#sink.onBehind(revision);
  }

  onEvents(events: readonly WatchEvent[], revision: number): void {
    if (this.#isHolding()) this.#held.push(() => this.#sink.onEvents(events, revision));
    else this.#sink.onEvents(events, revision);
  }

  onStale(): void {
    this.#sink.onStale();
  }

  onProgress(revision: number): void {
    if (this.#isHolding()) this.#held.push(() => this.#sink.onProgress(revision));
    else this.#sink.onProgress(revision);
  }

  onInterrupted(error: unknown): void {
    this.#isCaughtUp = false;
    this.#sink.onInterrupted(error);
  }

  onGap(gap: Gap): void {
    this[Symbol.dispose]();
    this.#sink.onGap(gap);
  }

  onRefused(error: unknown): void {
    this[Symbol.dispose]();
    this.#sink.onRefused(error);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#held = [];
    this.#isCaughtUp = false;
  }

  #isHolding(): boolean {
    if (this.#timer) return true;
    if (!this.#mayHold || !this.#audit.isUnproved) return false;
    this.#timer = this.#clock.setTimer(MAX_HOLD_MS, () => this.release());
    // Once: a look that fails is not repeated for each event.
    this.#audit.hurry();
    return true;
  }
}
