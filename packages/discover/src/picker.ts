import { SdError } from "@sd/core";

/** Chooses one of a fixed set: a value, replaced when the set changes. */
export interface Picker<T> {
  /** @throws SdError `SD_NO_INSTANCE` if there is nothing to pick. */
  pick(): T;
}

/** What an error says there is nothing to pick of. */
export interface PickerSubject {
  readonly name: string;
  /** How many are known, those that cannot be picked included. */
  readonly known: number;
}

/** Each in turn. A successor goes on where its predecessor stood, so that changes do not favour the first. */
export class RoundRobin<T> implements Picker<T> {
  readonly #candidates: readonly T[];
  readonly #subject: PickerSubject;
  #next: number;

  constructor(candidates: readonly T[], subject: PickerSubject, predecessor?: RoundRobin<T>) {
    this.#candidates = candidates;
    this.#subject = subject;
    this.#next = predecessor ? predecessor.#next : 0;
  }

  pick(): T {
    if (this.#next >= this.#candidates.length) this.#next = 0;
    const picked = this.#candidates[this.#next++];
    if (picked === undefined) throw this.#nothing();
    return picked;
  }

  #nothing(): SdError {
    const { name, known } = this.#subject;
    return new SdError(
      "SD_NO_INSTANCE",
      known === 0
        ? `no instance of ${name} is known`
        : `no instance of ${name} can be picked: ${known} known, each of weight 0`,
    );
  }
}
