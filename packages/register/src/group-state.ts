import type { Transitions } from "@sd/core";

/**
 * How a group of registrations stands.
 *
 * - `registering`: some were never registered yet.
 * - `registered`: all are, but those that were closed.
 * - `partial`: all were once, or have failed; some are not now. Their own states say why.
 * - `draining`: `close()` is at work.
 * - `deregistered`: the end. `confirmed` tells whether etcd acknowledged all of it.
 */
export type GroupState =
  | { readonly status: "registering" }
  | { readonly status: "registered" }
  | { readonly status: "partial" }
  | { readonly status: "draining" }
  | { readonly status: "deregistered"; readonly confirmed: boolean };

export const groupTransitions: Transitions<GroupState> = {
  registering: ["registered", "partial", "draining"],
  registered: ["partial", "draining"],
  partial: ["registered", "draining"],
  draining: ["deregistered"],
  deregistered: [],
};
