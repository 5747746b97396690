import type { Keyed } from "./change.js";

/** A set whose members take turns. Joining, leaving and a turn cost the same, however many there are. */
export class Turns<T extends Keyed> {
  readonly #members: T[] = [];
  readonly #places = new Map<string, number>();
  /** Those before it have had their turn in this round. */
  #next = 0;

  get size(): number {
    return this.#members.length;
  }

  at(place: number): T | undefined {
    return this.#members[place];
  }

  /** Takes in a new member, which still has its turn in this round, or the newest of one that it has. */
  put(member: T): void {
    const place = this.#places.get(member.key) ?? this.#members.length;
    this.#members[place] = member;
    this.#places.set(member.key, place);
  }

  delete({ key }: T): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    let gap = place;
    // The last member fills the gap; if the gap lies in the past, by way of the last place that had its turn.
    if (gap < this.#next) {
      this.#next -= 1;
      this.#move(this.#next, gap);
      gap = this.#next;
    }
    this.#move(this.#members.length - 1, gap);
    this.#members.pop();
  }

  /** Whose turn it is; `undefined` if there is nobody. */
  take(): T | undefined {
    if (this.#next >= this.#members.length) this.#next = 0;
    return this.#members[this.#next++];
  }

  #move(from: number, to: number): void {
    const member = this.#members[from];
    if (from === to || member === undefined) return;
    this.#members[to] = member;
    this.#places.set(member.key, to);
  }
}
