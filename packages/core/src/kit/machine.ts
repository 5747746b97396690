import { publish } from "./channels.js";
import { describe, requireListener, SdError } from "./errors.js";

/** A state: a union member tagged by `status`. */
export interface Tagged {
  readonly status: string;
}

/** Which status may follow which. Shared by code, tests and docs. */
export type Transitions<S extends Tagged> = { readonly [From in S["status"]]: readonly S["status"][] };

/** Called after a change of state. What it throws harms nobody, see `Listeners`. */
export type StateListener<S> = (state: S, previous: S) => void;

/**
 * A state machine with one door: `enter()`.
 *
 * Listeners are called in the order of their subscription, each with every state in order,
 * also when one of them enters the next state.
 */
export class Machine<S extends Tagged> {
  #state: S;
  readonly #transitions: Transitions<S>;
  readonly #listeners = new Listeners<[state: S, previous: S]>();
  readonly #undelivered: [S, S][] = [];
  #delivering = false;

  constructor(initial: S, transitions: Transitions<S>) {
    this.#state = initial;
    this.#transitions = transitions;
  }

  get state(): S {
    return this.#state;
  }

  /** Whether `status` may come next. */
  allows(status: S["status"]): boolean {
    return this.#transitions[this.#state.status as S["status"]].includes(status);
  }

  /**
   * Goes to `next`.
   *
   * @throws SdError `SD_INVARIANT` if the table does not allow it.
   */
  enter(next: S): void {
    if (!this.allows(next.status)) {
      throw new SdError("SD_INVARIANT", `no transition from ${this.#state.status} to ${next.status}`);
    }
    const previous = this.#state;
    this.#state = next;
    if (this.#delivering) {
      this.#undelivered.push([next, previous]);
      return;
    }
    if (this.#listeners.size === 0) return;
    this.#delivering = true;
    this.#listeners.emit(next, previous);
    for (let pair = this.#undelivered.shift(); pair; pair = this.#undelivered.shift()) {
      this.#listeners.emit(...pair);
    }
    this.#delivering = false;
  }

  subscribe(listener: StateListener<S>): Disposable {
    return this.#listeners.add(listener);
  }
}

/**
 * A set of listeners. One that throws harms nobody: the others are called all the same, and its error goes
 * to the channel `sd:listener:failed`, or as a warning of the process if nobody hears that channel.
 */
export class Listeners<Args extends unknown[]> {
  /** Made for the first: of ten thousand registrations few are listened to. */
  #listeners: Set<{ call: (...args: Args) => void }> | undefined;
  /** A copy, made when it is needed: a listener may add and remove others. */
  #copy: readonly { call: (...args: Args) => void }[] | undefined;

  get size(): number {
    return this.#listeners?.size ?? 0;
  }

  /** @throws SdError `SD_INVALID_ARGUMENT` for what is no function. */
  add(call: (...args: Args) => void): Disposable {
    requireListener(call);
    const entry = { call };
    this.#listeners ??= new Set();
    this.#listeners.add(entry);
    this.#copy = undefined;
    return {
      [Symbol.dispose]: () => {
        this.#listeners?.delete(entry);
        this.#copy = undefined;
      },
    };
  }

  emit(...args: Args): void {
    if (!this.#listeners || this.#listeners.size === 0) return;
    this.#copy ??= [...this.#listeners];
    for (const { call } of this.#copy) {
      try {
        call(...args);
      } catch (error) {
        if (publish("sd:listener:failed", () => ({ error }))) continue;
        process.emitWarning(error instanceof Error ? error : `a listener threw ${describe(error)}`);
      }
    }
  }

  clear(): void {
    this.#listeners = undefined;
    this.#copy = undefined;
  }
}
