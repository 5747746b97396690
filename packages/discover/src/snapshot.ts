import type { Clock, Position } from "@sd/core";

/** All instances at one revision of etcd: a value, which never changes. */
export class Snapshot<T> {
  /** In no particular order. */
  readonly instances: readonly T[];
  /** etcd held exactly these at this revision. */
  readonly revision: number;
  /** One unbroken history of one cluster: revisions of different epochs do not compare. */
  readonly epoch: number;
  readonly #clock: Clock;
  readonly #takenAt: number;

  /** @internal */
  constructor(instances: readonly T[], { revision, epoch }: Position, clock: Clock, takenAt: number) {
    this.instances = Object.freeze(instances);
    this.revision = revision;
    this.epoch = epoch;
    this.#clock = clock;
    this.#takenAt = takenAt;
    Object.freeze(this);
  }

  /** Milliseconds since this became the newest known; if it was restored from a file, since etcd was last heard. */
  get ageMs(): number {
    return this.#clock.now() - this.#takenAt;
  }
}
