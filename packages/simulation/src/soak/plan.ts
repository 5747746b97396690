import type { SeededRandom } from "@sd/testing";
import { ZONES } from "./site.js";

/** What happens to the members, one at a time: never more than one of them is away, but for `lose-majority`. */
const clusterFaults = [
  "kill",
  "kill-leader",
  "freeze",
  "freeze-leader",
  "restart",
  "move-leader",
  "isolate",
  "isolate-leader",
  "lose-majority",
] as const;

/** What happens between a place and one member, or all of them. */
const networkFaults = [
  "reset",
  "reset-all",
  "cut-after-bytes",
  "cut-catch-up",
  "black-hole-up",
  "black-hole-down",
  "black-hole-both",
  "black-hole-all",
  "half-close",
  "tarpit",
  "refuse-all",
  "delay-all",
  "slow-all",
  "slice-all",
] as const;

/** What ends a storm: all are cut off from etcd, or it is away, for up to four TTLs; or it has lost its history. */
const finalFaults = [
  "kill-all",
  "freeze-all",
  "lose-majority",
  "black-hole-everywhere",
  "refuse-everywhere",
  "wipe-all",
  "restore-all",
] as const;

/** What a secure soak has besides, one at a time and not beside faults of the cluster. */
const accessFaults = [
  "revoke-permission",
  "change-password",
  "change-roles",
  "disable-auth",
  "rotate-certificates",
  "rotate-authority",
  "expired-certificate",
] as const;

/** What operators do. */
const operatorFaults = ["revoke-lease", "delete-key", "overwrite-key", "burst", "bad-values"] as const;

/** What happens to the processes that register and discover. */
const processFaults = ["crash", "restart-registrar", "roll-registrar", "restart-discoverer"] as const;

export type FaultKind =
  | (typeof clusterFaults)[number]
  | (typeof networkFaults)[number]
  | (typeof finalFaults)[number]
  | (typeof accessFaults)[number]
  | (typeof operatorFaults)[number]
  | (typeof processFaults)[number];

/** One fault: what, when after the one before, and for how long. The rest says whom it hits. */
export interface Step {
  readonly kind: FaultKind;
  readonly afterMs: number;
  readonly forMs: number;
  readonly zone: number;
  readonly member: number;
  /** From 0 to 1: which of many. */
  readonly which: number;
}

const MIN_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 10_000;
const MIN_FAULT_MS = 500;
const MAX_FAULT_MS = 12_000;
/** Long enough for those whom it hits to find another way. */
const MIN_HOLE_MS = 9_000;
/** Longer than a TTL. */
const MAX_CUT_MS = 22_000;
const MAX_MAJORITY_MS = 6_000;
const MIN_FINAL_MS = 3_000;
const MAX_FINAL_MS = 32_000;

/** What storms begin with, in turn: by chance a run would meet some too rarely to speak of their times. */
const beginnings = ["tarpit", "black-hole-down", "black-hole-both"] as const;

/**
 * What the first storm ends with: all clients connect in vain for as long as they ever do. malloc keeps for good what
 * it had to get from the system for that, in pieces: whatever still grows from there on is not its work.
 */
const worst = { kind: "black-hole-everywhere", forMs: MAX_FINAL_MS } as const;

export interface StormOptions {
  readonly isSecure?: boolean;
  /** Which storm it is, from 0. Default 1. */
  readonly number?: number;
}

/** The faults of one storm of `lengthMs`, all drawn beforehand. */
export function drawStorm(
  random: SeededRandom,
  lengthMs: number,
  { isSecure = false, number = 1 }: StormOptions = {},
): Step[] {
  const steps: Step[] = [];
  let now = 0;
  let clusterFreeAt = 0;
  const zoneFreeAt = Array.from({ length: ZONES }, () => 0);
  while (true) {
    const afterMs = MIN_PAUSE_MS + random.below(MAX_PAUSE_MS - MIN_PAUSE_MS);
    now += afterMs;
    if (now > lengthMs) return [...steps, { ...drawFinal(random, afterMs), ...(number === 0 && worst) }];
    const free = [...zoneFreeAt.keys()].filter((zone) => (zoneFreeAt[zone] ?? 0) <= now);
    const kinds: readonly FaultKind[][] = [
      ...(clusterFreeAt <= now ? [[...clusterFaults]] : []),
      ...(clusterFreeAt <= now && isSecure ? [[...accessFaults]] : []),
      ...(free.length > 0 ? [[...networkFaults], [...networkFaults]] : []),
      [...operatorFaults],
      [...processFaults],
    ];
    const group = pick(random, kinds);
    const drawn = pick(random, group);
    const kind = steps.length === 0 ? (beginnings[number % beginnings.length] as FaultKind) : drawn;
    const step = {
      kind,
      afterMs,
      forMs: lengthOf(kind, random),
      zone: free.length > 0 ? pick(random, free) : 0,
      member: random.below(64),
      which: random.next(),
    };
    steps.push(step);
    if (isOneOf([...clusterFaults, ...accessFaults], kind)) clusterFreeAt = now + step.forMs + 4_000;
    if (isOneOf(networkFaults, kind)) zoneFreeAt[step.zone] = now + step.forMs;
  }
}

/** The last fault of a storm, which hits everybody. */
function drawFinal(random: SeededRandom, afterMs: number): Step {
  const kind = pick(random, finalFaults);
  const forMs = between(random, MIN_FINAL_MS, MAX_FINAL_MS);
  return { kind, afterMs, forMs, zone: 0, member: random.below(64), which: random.next() };
}

function lengthOf(kind: FaultKind, random: SeededRandom): number {
  if (kind === "black-hole-all" || kind === "refuse-all") return between(random, MIN_FAULT_MS, MAX_CUT_MS);
  if (kind === "lose-majority") return between(random, MIN_FAULT_MS, MAX_MAJORITY_MS);
  const isHole = kind.startsWith("black-hole") || kind === "tarpit" || kind === "cut-catch-up";
  return between(random, isHole ? MIN_HOLE_MS : MIN_FAULT_MS, isHole ? MIN_HOLE_MS + 4_000 : MAX_FAULT_MS);
}

function between(random: SeededRandom, least: number, most: number): number {
  return least + random.below(most - least);
}

function pick<T>(random: SeededRandom, from: readonly T[]): T {
  return from[random.below(from.length)] as T;
}

function isOneOf(kinds: readonly string[], kind: string): boolean {
  return kinds.includes(kind);
}
