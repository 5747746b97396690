import type { Clock, Timer } from "../../kit/clock.js";
import { type LinkedController, linkSignals, waitFor } from "../../kit/signals.js";
import { unsent } from "../failure.js";
import type { CallOptions } from "../transport.js";
import { timeoutError } from "./failures.js";

/** What ends a call from outside: its time, its signal, or the end of the client. Dispose it after the call. */
export class Bounds implements Disposable {
  /** The member that has the call, once it is sent. */
  endpoint: string | undefined;
  /** Why the last member could not be reached. */
  lastError: unknown;
  readonly #among: Set<Bounds>;
  readonly #link: LinkedController;
  readonly #timer: Timer;
  #timedOut = false;

  /** @param among the pending calls of the client; it is one of them until it is disposed. */
  constructor(
    clock: Clock,
    { signal, timeoutMs }: { readonly signal: CallOptions["signal"]; readonly timeoutMs: number },
    { among }: { readonly among: Set<Bounds> },
  ) {
    this.#among = among.add(this);
    this.#link = linkSignals(signal);
    this.#timer = clock.setTimer(timeoutMs, () => {
      this.#timedOut = true;
      const isSent = this.endpoint !== undefined;
      const what = isSent ? "no answer" : "no member of etcd reached";
      const why = this.lastError instanceof Error ? `: ${this.lastError.message}` : "";
      const error = timeoutError(`${what} within ${timeoutMs} ms${why}`, this.endpoint, this.lastError);
      this.#link.abort(isSent ? error : unsent(error));
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
    this.#timer[Symbol.dispose]();
    this.#link[Symbol.dispose]();
  }
}
