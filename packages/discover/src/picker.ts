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

/** Any, all as likely. */
class Chance<T extends Keyed> extends Turns<T> {
  readonly #random: Random;

  constructor(random: Random) {
    super();
    this.#random = random;
  }

  override take(): T | undefined {
    return this.at(Math.floor(this.#random.next() * this.size));
  }
}
