/** Adds our matchers to vitest's `expect`: import it once, in a test file or among vitest's `setupFiles`. */

import { expect } from "vitest";
import type { Expected } from "./converge.js";
import { matchers } from "./matchers.js";
import type { MatcherWait } from "./until.js";

/** What `expect()` can say besides. Those that wait do so for 4 s at most, unless `withinMs` says otherwise. */
export interface SdMatchers {
  /**
   * Waits until a discovery is `live` and shows exactly these instances: each by its id, address or key, in any
   * order; or those that an etcd of ours holds under its prefix, each as last written.
   */
  toConverge(expected: Expected, wait?: MatcherWait): Promise<void>;
  /** Waits until a registration, a discovery or a lease is in a state, or has been since the call. */
  toReach(status: string, wait?: MatcherWait): Promise<void>;
  /** What a `recordChanges()` has recorded is ordered, unique and complete. */
  toBeConsistent(): void;
  /** Runs a function: it leaves a timer, a socket, a pipe or a process open. To be used with `not`. */
  toLeak(options?: { readonly withinMs?: number }): Promise<void>;
}

declare module "vitest" {
  // biome-ignore lint/suspicious/noExplicitAny: it must be declared as vitest declares it
  interface Matchers<T = any> extends SdMatchers {}
}

expect.extend(matchers);

export type { Expected, MatcherWait };
