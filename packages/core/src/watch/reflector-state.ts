import type { Clock } from "../kit/clock.js";
import { Machine, type StateListener, type Transitions } from "../kit/machine.js";

/**
 * How the store stands to etcd.
 *
 * - `syncing`: not yet complete. `error` is why the last try failed, if one did.
 * - `live`: complete, and every change arrives: at most 15 s late, whatever the network does.
 * - `stale`: complete as of `since` (on the client's clock), and true to nothing later. It is kept. Ends when
 *   the watch stands again and has caught up.
 * - `closed`.
 */
export type ReflectorState =
  | { readonly status: "syncing"; readonly error: unknown }
  | { readonly status: "live" }
  | { readonly status: "stale"; readonly since: number; readonly error: unknown }
  | { readonly status: "closed" };

export const reflectorTransitions: Transitions<ReflectorState> = {
  syncing: ["syncing", "stale", "live", "closed"],
  live: ["stale", "closed"],
  stale: ["stale", "live", "closed"],
  closed: [],
};

/** The state of a reflector, by what happens to it. */
export class ReflectorMachine {
  readonly #clock: Pick<Clock, "now">;
  readonly #machine = new Machine<ReflectorState>(
    { status: "syncing", error: undefined },
    reflectorTransitions,
  );

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  get state(): ReflectorState {
    return this.#machine.state;
  }

  subscribe(listener: StateListener<ReflectorState>): Disposable {
    return this.#machine.subscribe(listener);
  }

  /** What the store holds is the present. */
  rise(): void {
    const { status } = this.state;
    if (status === "syncing" || status === "stale") this.#machine.enter({ status: "live" });
  }

  /** What the store holds is no longer certain to be the present. */
  fall(error: unknown): void {
    const { state } = this;
    if (state.status === "closed") return;
    if (state.status === "syncing") this.#machine.enter({ status: "syncing", error });
    else if (state.status === "stale") this.#machine.enter({ ...state, error });
    else this.#machine.enter({ status: "stale", since: this.#clock.now(), error });
  }

  /** The store holds what was the present at `since`. */
  restore(since: number, error: unknown): void {
    this.#machine.enter({ status: "stale", since, error });
  }

  close(): void {
    this.#machine.enter({ status: "closed" });
  }
}
