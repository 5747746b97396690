import type { Clock, Timer } from "../../kit/clock.js";
import { type LinkedController, linkSignals, waitFor } from "../../kit/signals.js";
import { timeoutError } from "./failures.js";

/** What ends a call from outside: its time, its signal, or the end of the client. Dispose it after the call. */
export class Bounds implements Disposable {
  readonly #among: Set<Bounds>;
  readonly #link: LinkedController;
  #timer: Timer | undefined;
  #timedOut = false;

  /** @param among the pending calls of the client; it is one of them until it is disposed. */
  constructor(signal: AbortSignal | undefined, { among }: { readonly among: Set<Bounds> }) {
    this.#among = among.add(this);
    this.#link = linkSignals(signal);
  }

  /** The call is sent to `endpoint` now, and has so long to be answered. */
  sent(clock: Clock, timeoutMs: number, endpoint: string): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = clock.setTimer(timeoutMs, () => {
      this.#timedOut = true;
      this.#link.abort(timeoutError(`no answer within ${timeoutMs} ms`, endpoint));
    });
  }

  /** Aborts with what the call is to reject with. */
  get signal(): AbortSignal {
    return this.#link.signal;
  }

  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** Waits for `work`, but not past the bounds; the work itself goes on. */
  wait<T>(work: Promise<T>): Promise<T> {
    return waitFor(work, { signal: this.signal });
  }

  /** Ends the call from outside. */
  abort(reason: unknown): void {
    this.#link.abort(reason);
  }

  [Symbol.dispose](): void {
    this.#among.delete(this);
    this.#timer?.[Symbol.dispose]();
    this.#link[Symbol.dispose]();
  }
}
