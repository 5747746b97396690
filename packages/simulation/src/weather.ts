import type { SeededRandom } from "@sd/testing";

/** How well a link carries. Each chance is that of one call, or of one message of a stream. */
export interface Weather {
  /** Each way takes up to so long, in milliseconds. */
  readonly delayMs: number;
  /** A call breaks before it reaches etcd. */
  readonly dropped: number;
  /** A call reaches etcd and breaks before its answer. */
  readonly lost: number;
  /** A call breaks, and reaches etcd afterwards. */
  readonly late: number;
  /** A call is never answered; half of them reach etcd. */
  readonly stalled: number;
  /** A call reaches etcd twice. */
  readonly repeated: number;
  /** The stream breaks, at this message. */
  readonly cut: number;
  /** A message of a watch comes in parts. */
  readonly fragmented: number;
}

export const fair: Weather = {
  delayMs: 0,
  dropped: 0,
  lost: 0,
  late: 0,
  stalled: 0,
  repeated: 0,
  cut: 0,
  fragmented: 0,
};

/** What becomes of one call. */
export type Fate = "fine" | "dropped" | "lost" | "late" | "stalled" | "repeated";

const fates = ["dropped", "lost", "late", "stalled", "repeated"] as const;

export function drawFate(weather: Weather, random: SeededRandom): Fate {
  let chance = random.next();
  for (const fate of fates) {
    chance -= weather[fate];
    if (chance < 0) return fate;
  }
  return "fine";
}
