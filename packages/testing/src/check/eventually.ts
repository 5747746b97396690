import { invalidArgument } from "@sd/core";
import { requireWait } from "./arguments.js";

/** Bounds of `eventually()`. */
export interface EventuallyOptions {
  /** Default 5000. */
  readonly timeoutMs?: number;
  /** The pause between two tries. Default 20. */
  readonly everyMs?: number;
}

/**
 * Tries until `work` returns, or resolves to, anything but `false`, and returns that.
 *
 * Tries at once, then after each pause, and at least once more at the end. In real time: for processes and
 * sockets, not for code on a `ManualClock`.
 *
 * @throws SdError `SD_INVALID_ARGUMENT`
 * @throws Error with the last try's error as its cause and in its message.
 */
export async function eventually<Result>(
  work: () => Result | Promise<Result>,
  { timeoutMs = 5_000, everyMs = 20 }: EventuallyOptions = {},
): Promise<Exclude<Result, false>> {
  if (typeof work !== "function") throw invalidArgument("work", "a function", work);
  requireWait("timeoutMs", timeoutMs);
  requireWait("everyMs", everyMs);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const isLast = performance.now() >= deadline;
    let problem: unknown = new Error("it is still false");
    try {
      const result = await work();
      if (result !== false) return result as Exclude<Result, false>;
    } catch (error) {
      problem = error;
    }
    if (isLast) {
      const message = problem instanceof Error ? problem.message : String(problem);
      throw new Error(`not within ${timeoutMs} ms: ${message}`, { cause: problem });
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
