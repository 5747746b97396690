import { invalidArgument, type Random } from "@sd/core";
import type { Keyed } from "./change.js";
import { Turns } from "./turns.js";
import { WeightedTurns } from "./weighted-turns.js";

/**
 * How instances are picked; those of weight 0 never are.
 *
 * - `round-robin`: each in turn.
 * - `random`: any, all as likely: for clients that are many and pick rarely.
 * - `weighted`: each as often as its weight says, its turns spread as evenly as can be.
 */
export type Balancer = "round-robin" | "random" | "weighted";

/** Chooses among candidates. It follows their changes, each at a cost that does not depend on their number. */
export interface Picker<T> {
  /** Takes in a candidate of a new key. */
  add(candidate: T): void;
  /** Takes in a candidate, or the successor of one of the same key. */
  put(candidate: T): void;
  delete(candidate: T): void;
  /** `undefined` if there is no candidate. */
  take(): T | undefined;
}

/** What makes a picker. */
export type MakePicker<T> = (random: Random) => Picker<T>;

/** @throws SdError `SD_INVALID_ARGUMENT` for the name of no balancer. */
export function balancer<T extends Keyed>(name: Balancer, weightOf: (candidate: T) => number): MakePicker<T> {
  switch (name) {
    case "round-robin":
      return () => new Turns<T>();
    case "random":
      return (random) => new Chance<T>(random);
    case "weighted":
      return () => new WeightedTurns<T>(weightOf);
    default:
      throw invalidArgument("balancer", "round-robin, random or weighted", name);
  }
}

/**
 * Any, all as likely.
 *
 * By a xorshift generator of its own (Marsaglia, 2003), which stays within integers: V8 makes an object of each
 * number that `Math.random()` gives, 16 bytes of garbage a pick.
 */
class Chance<T extends Keyed> extends Turns<T> {
  /** Never 0. */
  #state: number;

  constructor(random: Random) {
    super();
    this.#state = Math.floor(random.next() * 2 ** 32) | 0 || 1;
  }

  override take(): T | undefined {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return this.at(Math.floor(((state >>> 0) / 2 ** 32) * this.size));
  }
}
