import { Listeners, type Position } from "@sd/core";
import type { RecordedChange } from "./record-changes.js";

/** As much of an instance as recordings and matchers look at. */
export interface FakeInstance {
  readonly key: string;
  readonly id: string;
  readonly address: string;
  readonly modRevision: number;
}

export const instance = (id: string, modRevision: number): FakeInstance => ({
  key: `/web/${id}`,
  id,
  address: `${id}:80`,
  modRevision,
});

/** A discovery whose news a test makes up, right or wrong. */
export class FakeDiscovery {
  readonly prefix = "/web/";
  readonly rejected = new Map<string, unknown>();
  state = { status: "live" };
  snapshot = { instances: [] as readonly FakeInstance[], revision: 1, epoch: 1 };
  readonly #changes = new Listeners<[readonly RecordedChange<FakeInstance>[], Position]>();
  readonly #states = new Listeners<[{ readonly status: string }]>();

  onChanges(
    listener: (changes: readonly RecordedChange<FakeInstance>[], position: Position) => void,
  ): Disposable {
    return this.#changes.add(listener);
  }

  subscribe(listener: (state: { readonly status: string }) => void): Disposable {
    return this.#states.add(listener);
  }

  show(instances: readonly FakeInstance[], revision: number, epoch = 1): void {
    this.snapshot = { instances, revision, epoch };
  }

  tell(revision: number, changes: readonly RecordedChange<FakeInstance>[], epoch = 1): void {
    this.#changes.emit(changes, { revision, epoch });
  }

  enter(status: string): void {
    this.state = { status };
    this.#states.emit(this.state);
  }
}
