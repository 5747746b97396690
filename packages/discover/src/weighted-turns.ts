import type { Keyed } from "./change.js";
import { Turns } from "./turns.js";

/** Beyond it the time begins anew: the steps of great weights would be lost in the digits of a late one. */
const LATE = 2 ** 20;
/** Of a weight next to nothing: finite, also when it is added to. */
const MAX_STEP = 2 ** 600;

/** Those of one weight, who take turns among themselves. */
interface Tier<T extends Keyed> {
  readonly weight: number;
  readonly turns: Turns<T>;
  /** When it is due next, in a time in which a member of weight 1 has one turn in each unit. */
  due: number;
  /** Between two of its turns. */
  step: number;
  /** In the heap. */
  place: number;
}

/**
 * A set whose members take turns as often as their weights say, spread evenly: earliest deadline first.
 *
 * Members of one weight are one entry of the heap, so a turn costs no more for more of them; with n different
 * weights it costs log n. The smooth weighted round robin of nginx gives the same shares, but looks at every
 * member for every turn: 10 µs at 10,000.
 */
export class WeightedTurns<T extends Keyed> {
  readonly #weightOf: (member: T) => number;
  readonly #tiers = new Map<number, Tier<T>>();
  /** A binary heap, by `due`. */
  readonly #heap: Tier<T>[] = [];
  readonly #weights = new Map<string, number>();
  #now = 0;

  constructor(weightOf: (member: T) => number) {
    this.#weightOf = weightOf;
  }

  /** Takes in a member of a new key, of a weight above 0. */
  add(member: T): void {
    const weight = this.#weightOf(member);
    this.#weights.set(member.key, weight);
    const tier = this.#tiers.get(weight) ?? this.#addTier(weight);
    tier.turns.add(member);
    this.#resize(tier);
  }

  /** Takes in a member of a weight above 0, or the newest of one that it has. */
  put(member: T): void {
    const weight = this.#weightOf(member);
    const before = this.#weights.get(member.key);
    if (before === weight) {
      this.#tiers.get(weight)?.turns.put(member);
      return;
    }
    if (before !== undefined) this.delete(member);
    this.add(member);
  }

  delete(member: T): void {
    const tier = this.#tiers.get(this.#weights.get(member.key) ?? Number.NaN);
    if (!tier) return;
    this.#weights.delete(member.key);
    tier.turns.delete(member);
    if (tier.turns.size > 0) this.#resize(tier);
    else this.#remove(tier);
  }

  /** Whose turn it is; `undefined` if there is nobody. */
  take(): T | undefined {
    const tier = this.#heap[0];
    if (tier === undefined) return undefined;
    this.#now = tier.due;
    tier.due += tier.step;
    if (this.#now > LATE) this.#beginAnew();
    this.#sink(tier);
    return tier.turns.take();
  }

  /** Puts all times back by the same. */
  #beginAnew(): void {
    for (const tier of this.#heap) tier.due -= this.#now;
    this.#now = 0;
  }

  #addTier(weight: number): Tier<T> {
    const tier = { weight, turns: new Turns<T>(), due: this.#now, step: 0, place: this.#heap.length };
    this.#tiers.set(weight, tier);
    this.#heap.push(tier);
    return tier;
  }

  #remove(tier: Tier<T>): void {
    this.#tiers.delete(tier.weight);
    const last = this.#heap.pop();
    if (last === undefined || last === tier) return;
    this.#set(last, tier.place);
    this.#settle(last);
  }

  /** Its number of members has changed: what is left to its next turn shrinks or grows with the step. */
  #resize(tier: Tier<T>): void {
    const step = Math.min(1 / (tier.weight * tier.turns.size), MAX_STEP);
    const left = tier.step === 0 ? step : ((tier.due - this.#now) * step) / tier.step;
    tier.step = step;
    tier.due = this.#now + left;
    this.#settle(tier);
  }

  #settle(tier: Tier<T>): void {
    while (tier.place > 0) {
      const parent = this.#heap[(tier.place - 1) >> 1] as Tier<T>;
      if (parent.due <= tier.due) break;
      const { place } = parent;
      this.#set(parent, tier.place);
      this.#set(tier, place);
    }
    this.#sink(tier);
  }

  /** Moves those that are due earlier up, and the tier into the gap that they leave. */
  #sink(tier: Tier<T>): void {
    const heap = this.#heap;
    const { due } = tier;
    let gap = tier.place;
    for (;;) {
      let place = 2 * gap + 1;
      let earlier = heap[place];
      if (earlier === undefined) break;
      const right = heap[place + 1];
      if (right !== undefined && right.due < earlier.due) {
        earlier = right;
        place += 1;
      }
      if (earlier.due >= due) break;
      this.#set(earlier, gap);
      gap = place;
    }
    this.#set(tier, gap);
  }

  #set(tier: Tier<T>, place: number): void {
    tier.place = place;
    this.#heap[place] = tier;
  }
}
