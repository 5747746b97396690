import type { Keyed } from "./change.js";

/** A set whose members take turns. Joining, leaving and a turn cost the same, however many there are. */
export class Turns<T extends Keyed> {
  readonly #members: T[] = [];
  /** By key: of the first `#placed` members. */
  readonly #places = new Map<string, number>();
  #placed = 0;
  /** Those before it have had their turn in this round. */
  #next = 0;

  get size(): number {
    return this.#members.length;
  }

  at(place: number): T | undefined {
    return this.#members[place];
  }

  /**
   * Takes in a member of a new key, which still has its turn in this round. Its place is looked up at the next
   * `put()` or `delete()`: the first pick of 100,000 does not wait 20 ms for a table of them.
   */
  add(member: T): void {
    this.#members.push(member);
  }

  /** Takes in a new member, as `add()` does, or the newest of one that it has. */
  put(member: T): void {
    const place = this.#placeOf(member.key);
    if (place === undefined) this.add(member);
    else this.#members[place] = member;
  }

  delete({ key }: T): void {
    const place = this.#placeOf(key);
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
    this.#placed = this.#members.length;
  }

  /** Whose turn it is; `undefined` if there is nobody. */
  take(): T | undefined {
    if (this.#next >= this.#members.length) this.#next = 0;
    return this.#members[this.#next++];
  }

  #placeOf(key: string): number | undefined {
    for (; this.#placed < this.#members.length; this.#placed += 1) {
      this.#places.set((this.#members[this.#placed] as T).key, this.#placed);
    }
    return this.#places.get(key);
  }

  #move(from: number, to: number): void {
    const member = this.#members[from];
    if (from === to || member === undefined) return;
    this.#members[to] = member;
    this.#places.set(member.key, to);
  }
}
