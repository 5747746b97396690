import { type Clock, publish, type Timer } from "@sd/core";
import type { Holds } from "./instance-store.js";
import { MassLoss } from "./mass-loss.js";
import { checkGrace, type DiscoveryOptions } from "./options.js";

export interface RetentionOptions extends Pick<DiscoveryOptions, "graceMs" | "massLoss"> {
  readonly prefix: string;
  readonly clock: Clock;
  /** Whether etcd is heard: while it is not, nobody can return. */
  readonly isHeard: () => boolean;
  /** Lets go of all that is retained. */
  readonly release: () => void;
}

/** How long those stay who are missing: after etcd has lost its history, and when too many go at once. */
export class Retention implements Disposable {
  /** Asked when some go within an epoch; `undefined`: nobody stays. */
  readonly holds: Holds | undefined;
  readonly #options: RetentionOptions;
  readonly #graceMs: number;
  readonly #massLoss: MassLoss | undefined;
  #timer: Timer | undefined;

  /** @throws SdError `SD_INVALID_ARGUMENT` */
  constructor(options: RetentionOptions) {
    const { clock, graceMs, massLoss, prefix } = options;
    this.#options = options;
    this.#graceMs = checkGrace(graceMs);
    if (massLoss === undefined) return;
    const loss = new MassLoss(clock, massLoss);
    this.#massLoss = loss;
    this.holds = (keys, left) => {
      const isMass = loss.isMass(keys, left);
      if (isMass) publish("sd:loss:held", () => ({ prefix, keys, left }));
      return isMass;
    };
  }

  /** Whether those stay who are missing in a new epoch. */
  get spansEpochs(): boolean {
    return this.#graceMs > 0;
  }

  /** To be called with each change. */
  follow({ isRetaining, isNewEpoch }: { readonly isRetaining: boolean; readonly isNewEpoch: boolean }): void {
    // All have returned: who vanishes next has a time of their own.
    if (!isRetaining) this[Symbol.dispose]();
    else if (isNewEpoch && this.#graceMs > 0) this.#start(this.#graceMs);
    else if (this.#massLoss && !this.#timer) this.#start(this.#massLoss.holdMs);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #start(ms: number): void {
    const { clock, isHeard, release } = this.#options;
    this[Symbol.dispose]();
    this.#timer = clock.setTimer(ms, () => {
      this.#timer = undefined;
      if (isHeard()) release();
      else this.#start(ms);
    });
  }
}
