import { invalidArgument, requireOptions } from "@sd/core";
import { requireOneOf } from "../check/arguments.js";

/** How a version of etcd answers, and which of its known bugs it has. */
export interface Behaviour {
  /** What `Status` says. */
  readonly version: string;
  /**
   * When a progress request is answered: at once, even ahead of events that are still to come (before 3.4.25
   * and 3.5.8); if every watch of the stream is in step with the store; or if the store has also reached the
   * revision that each was asked to begin with (since 3.5.22 and 3.6.2).
   */
  readonly progress: "at-once" | "in-step" | "reached";
  /** A watch that is to begin below 0 is refused (since 3.5.24); else it is canceled as compacted. */
  readonly refusesNegativeStart: boolean;
  /** A watch that begins at the compaction revision does not hear of a key deleted there (etcd #18089, #19179). */
  readonly losesDeletes: boolean;
  /** A renewal of a lease that was revoked, or ran out, is answered as if it lived (before 3.4.38 and 3.5.23). */
  readonly renewsDeadLeases: boolean;
  /** A watch that begins in the future is first told all history that is left (etcd #15271, #20221). */
  readonly replaysHistory: boolean;
  /** Reads outside of transactions see the store as it was when this was switched on (etcd #20418). */
  readonly servesStaleReads: boolean;
  /** What a renewal of a lease that is gone is answered: -1 by `etcd grpc-proxy`. */
  readonly missingLeaseTtl: 0 | -1;
  /**
   * The version whose authentication it has. Before 3.5.28 leases, alarms, status and members are anybody's, and
   * inner transactions are not checked (CVE-2026-33413, CVE-2026-33343), nor, before 3.5.30, what a put in a
   * transaction reads. 3.4 refuses a wrong token even while authentication is off.
   */
  readonly auth: "3.4.23" | "3.5.16" | "3.5.30";
  /** Answers to alarm requests have no header, and the alarm "none" can be raised (3.4). */
  readonly hasBareAlarms: boolean;
}

const etcd35: Behaviour = {
  version: "3.5.30",
  progress: "reached",
  refusesNegativeStart: true,
  losesDeletes: false,
  renewsDeadLeases: false,
  replaysHistory: false,
  servesStaleReads: false,
  missingLeaseTtl: 0,
  auth: "3.5.30",
  hasBareAlarms: false,
};

/**
 * The versions that MemoryEtcd can be, each as measured.
 *
 * What happens to a version only now and then, in a race or after a pause, is off in all of them: switch it on
 * by name.
 */
export const behaviours = {
  "3.4.23": {
    ...etcd35,
    version: "3.4.23",
    progress: "at-once",
    refusesNegativeStart: false,
    losesDeletes: true,
    auth: "3.4.23",
    hasBareAlarms: true,
  },
  "3.5.16": {
    ...etcd35,
    version: "3.5.16",
    progress: "in-step",
    refusesNegativeStart: false,
    auth: "3.5.16",
  },
  "3.5.30": etcd35,
} as const satisfies Readonly<Record<string, Behaviour>>;

/** The name of one of `behaviours`. */
export type EtcdVersion = keyof typeof behaviours;

const choices: { readonly [Name in keyof Behaviour]?: readonly unknown[] } = {
  progress: ["at-once", "in-step", "reached"],
  missingLeaseTtl: [0, -1],
  auth: Object.keys(behaviours),
};

/** Refuses what is misspelt: it would change nothing. @throws SdError `SD_INVALID_ARGUMENT` */
export function checkBehaviour(changes: Partial<Behaviour>): void {
  requireOptions("behaviour", changes);
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(etcd35, name)) {
      throw invalidArgument("behaviour", `made of ${Object.keys(etcd35).join(", ")}`, name);
    }
    const isText = name === "version";
    if (isText && typeof value !== "string") throw invalidArgument("behaviour.version", "a text", value);
    if (!isText) requireOneOf(`behaviour.${name}`, value, choices[name as keyof Behaviour] ?? [true, false]);
  }
}
