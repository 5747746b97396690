import type { Clock, Timer } from "../../kit/clock.js";
import { onAbort, waitFor } from "../../kit/signals.js";
import { timeoutError } from "./failures.js";

/** What ends a call from outside: its time, its signal, or the end of the client. Dispose it after the call. */
export class Bounds implements Disposable {
  readonly #among: Set<Bounds>;
  /** Node makes its signal when somebody asks for it, which few calls do: it is dearer than all else here. */
  readonly #controller = new AbortController();
  readonly #unlink: (() => void) | undefined;
  #timer: Timer | undefined;
  #timedOut = false;
  #over: { readonly reason: unknown } | undefined;
  /** Called when the call is ended from outside, with what it is to reject with. */
  onOver: ((reason: unknown) => void) | undefined;

  /** @param among the pending calls of the client; it is one of them until it is disposed. */
  constructor(source: AbortSignal | undefined, { among }: { readonly among: Set<Bounds> }) {
    this.#among = among.add(this);
    if (source?.aborted) this.abort(source.reason);
    else this.#unlink = source && onAbort(source, () => this.abort(source.reason));
  }

  /** The call is sent to `endpoint` now, and has so long to be answered. */
  sent(clock: Clock, timeoutMs: number, endpoint: string): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = clock.setTimer(timeoutMs, () => {
      this.#timedOut = true;
      // Whole: who shows or compares messages is not to see the round trip's fractions, each time others.
      this.abort(timeoutError(`no answer within ${Math.round(timeoutMs)} ms`, endpoint));
    });
  }

  /** Aborts with what the call is to reject with. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /** @throws what the call is to reject with, if it was ended. */
  throwIfOver(): void {
    if (this.#over) throw this.#over.reason;
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
    if (this.#over) return;
    this.#over = { reason };
    this.#controller.abort(reason);
    this.onOver?.(reason);
  }

  [Symbol.dispose](): void {
    this.#among.delete(this);
    this.#timer?.[Symbol.dispose]();
    this.#unlink?.();
  }
}
