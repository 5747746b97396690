import { SdError } from "@sd/core";

/** Chooses one of a fixed set: a value, replaced when the set changes. */
export interface Picker<T> {
  /** @throws SdError `SD_NO_INSTANCE` if there is nothing to pick. */
  pick(): T;
}

/** Each in turn. A successor goes on where its predecessor stood, so that changes do not favour the first. */
export class RoundRobin<T> implements Picker<T> {
  readonly #candidates: readonly T[];
  readonly #name: string;
  #next: number;

  /** @param name says in errors what there is none of. */
  constructor(candidates: readonly T[], name: string, predecessor?: RoundRobin<T>) {
    this.#candidates = candidates;
    this.#name = name;
    this.#next = predecessor ? predecessor.#next : 0;
  }

  pick(): T {
    if (this.#next >= this.#candidates.length) this.#next = 0;
    const picked = this.#candidates[this.#next++];
    if (picked === undefined) throw new SdError("SD_NO_INSTANCE", `no instance of ${this.#name} is known`);
    return picked;
  }
}
