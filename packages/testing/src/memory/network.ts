import type { SdError } from "@sd/core";
import { requireOneOf } from "../check/arguments.js";
import { type AnswerVerb, answerVerbs, type RequestVerb, requestVerbs } from "./calls.js";
import { transportError } from "./refusals.js";

/** What breaks when the network does: a call that waits, or an open stream. */
export interface Link {
  fail(error: SdError): void;
}

/**
 * The way between clients and the store: first in, first out, one step per microtask, and breakable.
 */
export class Network {
  readonly #queue: (() => void)[] = [];
  readonly #links = new Set<Link>();
  readonly #drops = new Map<RequestVerb, number>();
  readonly #losses = new Map<AnswerVerb, number>();
  #isRunning = false;
  #isFrozen = false;
  /** New calls and streams fail. */
  isRefusing = false;

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** Runs `step` after all that was posted before, not in this turn of the caller. */
  post(step: () => void): void {
    this.#queue.push(step);
    this.#run();
  }

  /** Has `link` fail with the network, until disposed. */
  attach(link: Link): Disposable {
    this.#links.add(link);
    return { [Symbol.dispose]: () => void this.#links.delete(link) };
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    this.#run();
  }

  /** Fails every link; what is under way is lost. */
  cut(): void {
    this.#queue.length = 0;
    for (const link of [...this.#links]) link.fail(connectionReset());
  }

  dropNext(verb: RequestVerb): void {
    requireOneOf("verb", verb, requestVerbs);
    this.#drops.set(verb, (this.#drops.get(verb) ?? 0) + 1);
  }

  loseNext(verb: AnswerVerb): void {
    requireOneOf("verb", verb, answerVerbs);
    this.#losses.set(verb, (this.#losses.get(verb) ?? 0) + 1);
  }

  /** Whether this request is to be dropped; asking uses up one `dropNext()`. */
  takeDrop(verb: RequestVerb): boolean {
    return take(this.#drops, verb);
  }

  /** Whether this answer is to be lost; asking uses up one `loseNext()`. */
  takeLoss(verb: AnswerVerb): boolean {
    return take(this.#losses, verb);
  }

  #run(): void {
    if (this.#isRunning || this.#isFrozen || this.#queue.length === 0) return;
    this.#isRunning = true;
    queueMicrotask(() => {
      this.#isRunning = false;
      if (this.#isFrozen) return;
      try {
        this.#queue.shift()?.();
      } finally {
        this.#run();
      }
    });
  }
}

/** The error of what was under way when the connection broke. */
export function connectionReset(): SdError {
  return transportError(14, "read ECONNRESET");
}

/** The error of what could not be begun. */
export function connectionRefused(): SdError {
  return transportError(14, "connect ECONNREFUSED", { isSent: false });
}

function take<Key>(counts: Map<Key, number>, key: Key): boolean {
  const count = counts.get(key) ?? 0;
  if (count > 0) counts.set(key, count - 1);
  return count > 0;
}
