import { setMaxListeners } from "node:events";
import { Cancellation } from "./cancellation.js";
import type { Clock } from "./clock.js";

/** A controller whose signal also follows others, until it is disposed. */
export interface LinkedController extends Disposable {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

/**
 * Makes a signal that aborts with the first of `sources`, and that can be unlinked.
 *
 * Dispose it when the call is over. `AbortSignal.any()` has no such way back: on a signal that outlives
 * the call it leaks on Node 20 (https://github.com/nodejs/node/issues/54614).
 */
export function linkSignals(...sources: (AbortSignal | Cancellation | undefined)[]): LinkedController {
  const controller = new AbortController();
  const undo: (() => void)[] = [];
  const unlink = (): void => {
    for (const step of undo.splice(0)) step();
  };
  for (const source of sources) {
    if (!source) continue;
    if (source.aborted) {
      controller.abort(source.reason);
      break;
    }
    const follow = (): void => {
      unlink();
      controller.abort(source.reason);
    };
    undo.push(onAbort(source, follow));
  }
  if (controller.signal.aborted) unlink();
  return {
    signal: controller.signal,
    abort: (reason) => {
      unlink();
      controller.abort(reason);
    },
    [Symbol.dispose]: unlink,
  };
}

/** Calls `listener` when `signal`, which has not yet, aborts. @returns takes it back. */
export function onAbort(signal: AbortSignal | Cancellation, listener: () => void): () => void {
  if (signal instanceof Cancellation) return signal.onAbort(listener);
  listenToMany(signal);
  signal.addEventListener("abort", listener, { once: true });
  return () => signal.removeEventListener("abort", listener);
}

/** One signal may end a thousand calls: Node would warn of a leak at the eleventh. */
function listenToMany(signal: AbortSignal): void {
  setMaxListeners(0, signal);
}

/**
 * Waits for `work`, but not past `signal` or `timeoutMs`; the work itself goes on.
 *
 * @throws `signal.reason` on abort, `onTimeout()` when the time is over, whatever `work` throws.
 */
export function waitFor<T>(
  work: Promise<T>,
  {
    clock,
    timeoutMs,
    onTimeout,
    signal,
  }: {
    readonly clock?: Clock;
    readonly timeoutMs?: number | undefined;
    readonly onTimeout?: () => unknown;
    readonly signal?: AbortSignal | Cancellation | undefined;
  },
): Promise<T> {
  if (!signal && timeoutMs === undefined) return work;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      work.catch(() => {});
      reject(signal.reason);
      return;
    }
    const timer =
      clock && timeoutMs !== undefined
        ? clock.setTimer(timeoutMs, () => settle(() => reject(onTimeout?.())))
        : undefined;
    const settle = (finish: () => void): void => {
      timer?.[Symbol.dispose]();
      unlink?.();
      finish();
    };
    const unlink = signal && onAbort(signal, () => settle(() => reject(signal.reason)));
    work.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}

/**
 * Resolves `delayMs` from now.
 *
 * @throws `signal.reason` as soon as `signal` aborts.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal | Cancellation): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = clock.setTimer(delayMs, () => {
      unlink?.();
      resolve();
    });
    const unlink =
      signal &&
      onAbort(signal, () => {
        timer[Symbol.dispose]();
        reject(signal.reason);
      });
  });
}
