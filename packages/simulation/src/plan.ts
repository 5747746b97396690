import type { ConflictPolicy } from "@sd/register";
import type { Behaviour } from "@sd/testing";
import { SeededRandom } from "@sd/testing";
import type { Target } from "./discovery-subject.js";
import type { Weather } from "./weather.js";

/** What is done at one moment. All that it needs is drawn beforehand, so that a plan can lose a step. */
export type Action =
  | {
      readonly type: "register";
      readonly process: number;
      readonly service: string;
      readonly id: string;
      readonly ttlSeconds: number;
      readonly onConflict: ConflictPolicy;
    }
  | { readonly type: "update"; readonly nth: number }
  | { readonly type: "close"; readonly nth: number }
  | { readonly type: "discover"; readonly process: number; readonly target: Target }
  | { readonly type: "close discovery"; readonly nth: number }
  | { readonly type: "crash"; readonly process: number }
  /** A new process with the addresses and registrations of an old one. The old one may still run. */
  | { readonly type: "respawn"; readonly process: number }
  /** The process is gone and started anew at once, with what it had; etcd cannot be reached meanwhile. */
  | { readonly type: "restart"; readonly process: number; readonly forMs: number }
  | { readonly type: "put"; readonly key: string; readonly value: string; readonly ttlSeconds: number }
  | { readonly type: "delete"; readonly key: string }
  /** Several keys in one revision, and again. */
  | { readonly type: "transaction"; readonly prefix: string; readonly keys: number }
  | { readonly type: "burst"; readonly prefix: string; readonly count: number }
  | { readonly type: "end lease"; readonly nth: number }
  | { readonly type: "compact"; readonly behind: number }
  | { readonly type: "cut" }
  | { readonly type: "refuse" | "freeze" | "kill" | "hold" | "full"; readonly forMs: number }
  | { readonly type: "wipe"; readonly newCluster: boolean; readonly forMs: number }
  | { readonly type: "behave"; readonly changes: Partial<Behaviour>; readonly forMs: number }
  /** As etcd's grpc-proxy may do: the stream stays, and the next renewal is not answered. */
  | { readonly type: "drop renewal"; readonly process: number }
  | { readonly type: "weather"; readonly process: number; readonly weather: Weather; readonly forMs: number }
  | { readonly type: "cut link"; readonly process: number }
  | { readonly type: "black hole" | "refuse link"; readonly process: number; readonly forMs: number }
  | {
      readonly type: "pause";
      readonly process: number;
      readonly timersFirst: boolean;
      readonly forMs: number;
    };

export interface Step {
  /** How long after the step before, in virtual milliseconds. */
  readonly afterMs: number;
  readonly action: Action;
}

/** One schedule: what a seed stands for. */
export interface Plan {
  readonly seed: number;
  readonly catchUpDelayMs: number;
  /** What a renewal of a lease that is gone is answered: -1 by etcd's grpc-proxy. */
  readonly missingLeaseTtl: 0 | -1;
  /**
   * With trouble that shows in no answer of etcd, and is found by comparison only (D9): a wiped store that
   * has overtaken the old revision, deletes that are not told.
   */
  readonly isSilent: boolean;
  /** What is registered comes with fifteen others, as a group on one lease. */
  readonly isGrouped: boolean;
  /** All registrations want one key, and nobody else touches it. */
  readonly isContest: boolean;
  readonly steps: readonly Step[];
}

/** Of so many seeds one is grouped. */
const GROUPED_EVERY = 4;

export const PROCESSES = 5;
const services = ["web", "api"] as const;
const ids = ["a", "b", "c"] as const;
const targets: readonly Target[] = [
  { type: "service", service: "web" },
  { type: "service", service: "api" },
  { type: "prefix", prefix: "/web/" },
  { type: "prefix", prefix: "/" },
];

/** The plan of a seed: always the same. */
export function planOf(seed: number, { isSilent = false }: { readonly isSilent?: boolean } = {}): Plan {
  const random = new SeededRandom(seed);
  const draw = new Draw(random, isSilent);
  const steps: Step[] = [];
  for (let process = 0; process < PROCESSES; process += 1) {
    if (process < 3) steps.push({ afterMs: 0, action: draw.register(process) });
    else steps.push({ afterMs: 0, action: draw.discover(process) });
  }
  for (let process = 0; process < PROCESSES; process += 1) {
    if (random.below(2) === 0) steps.push({ afterMs: 0, action: draw.weatherOn(process) });
  }
  const count = 10 + random.below(30);
  for (let index = 0; index < count; index += 1) {
    steps.push({ afterMs: draw.pause(), action: draw.action() });
  }
  const catchUpDelayMs = draw.of([0, 0, 20, 100]);
  const missingLeaseTtl = draw.of<0 | -1>([0, 0, -1]);
  const isGrouped = seed % GROUPED_EVERY === 0;
  return { seed, catchUpDelayMs, missingLeaseTtl, isSilent, isContest: false, isGrouped, steps };
}

/** Faults that touch no key from outside: whose it is remains a matter of those who want it. */
const honest: ReadonlySet<Action["type"]> = new Set<Action["type"]>([
  ...["update", "compact", "cut", "refuse", "freeze", "kill", "hold", "drop renewal"],
  ...["weather", "cut link", "black hole", "refuse link", "pause"],
] as const);

/** The plan of a contest: two or three processes want one key from one moment on, and two look on. */
export function contestOf(seed: number): Plan {
  const random = new SeededRandom(seed);
  const draw = new Draw(random, false);
  const rivals = 2 + random.below(2);
  const steps: Step[] = [];
  for (let process = 0; process < PROCESSES; process += 1) {
    if (process < rivals) {
      const ttlSeconds = draw.of([5, 6, 10, 15]);
      const wish = { service: "web", id: "a", ttlSeconds, onConflict: "yield" } as const;
      steps.push({ afterMs: 0, action: { type: "register", process, ...wish } });
    } else if (process >= 3) {
      steps.push({ afterMs: 0, action: { type: "discover", process, target: targets[0] as Target } });
    }
  }
  const count = 5 + random.below(20);
  while (steps.length < count) {
    const action = draw.action();
    if (honest.has(action.type)) steps.push({ afterMs: draw.pause(), action });
  }
  return {
    seed,
    catchUpDelayMs: 0,
    missingLeaseTtl: 0,
    isSilent: false,
    isContest: true,
    isGrouped: false,
    steps,
  };
}

class Draw {
  readonly #random: SeededRandom;
  readonly #isSilent: boolean;
  readonly #table: readonly (readonly [weight: number, make: () => Action])[];

  constructor(random: SeededRandom, isSilent: boolean) {
    this.#random = random;
    this.#isSilent = isSilent;
    this.#table = this.#actions();
  }

  of<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)] as T;
  }

  /** Mostly at once or soon, now and then long enough for leases to end. */
  pause(): number {
    const chance = this.#random.next();
    if (chance < 0.3) return 0;
    if (chance < 0.7) return this.#random.below(300);
    if (chance < 0.97) return this.#random.below(5_000);
    return this.#random.below(40_000);
  }

  action(): Action {
    const sum = this.#table.reduce((total, [weight]) => total + weight, 0);
    let chance = this.#random.next() * sum;
    for (const [weight, make] of this.#table) {
      chance -= weight;
      if (chance < 0) return make();
    }
    return { type: "cut" };
  }

  register(process: number): Action {
    return {
      type: "register",
      process,
      service: this.of(services),
      id: this.of(ids),
      ttlSeconds: this.of([5, 5, 6, 10, 15]),
      onConflict: this.of(["yield", "yield", "yield", "yield", "takeover", "fail"]),
    };
  }

  discover(process: number): Action {
    return { type: "discover", process, target: this.of(targets) };
  }

  weatherOn(process: number): Action {
    return { type: "weather", process, weather: this.#weather(), forMs: this.#for() };
  }

  #process(): number {
    return this.#random.below(PROCESSES);
  }

  #key(): string {
    return `/${this.of(services)}/${this.of(ids)}`;
  }

  /** How long a fault lasts: below and above all time limits and TTLs. */
  #for(): number {
    const chance = this.#random.next();
    if (chance < 0.35) return this.#random.below(1_000);
    if (chance < 0.8) return this.#random.below(8_000);
    return this.#random.below(40_000);
  }

  #weather(): Weather {
    const chance = (): number => (this.#random.below(2) === 0 ? this.#random.next() * 0.4 : 0);
    return {
      delayMs: this.of([0, 5, 50, 300, 1_200]),
      dropped: chance() / 2,
      lost: chance(),
      late: chance(),
      stalled: chance() / 3,
      repeated: chance(),
      cut: this.of([0, 0, 0.02, 0.2]),
      fragmented: this.of([0, 0.5, 1]),
    };
  }

  #value(): string {
    return this.of(["10.0.0.9:9", "10.0.0.0:9000", "{", '{"address":7}', "{}", ""]);
  }

  #actions(): readonly (readonly [number, () => Action])[] {
    const random = this.#random;
    const lasting = <T extends string>(type: T) => ({ type, forMs: this.#for() });
    return [
      [4, () => this.register(this.#process())],
      [6, () => ({ type: "update", nth: random.below(12) })],
      [3, () => ({ type: "close", nth: random.below(12) })],
      [4, () => this.discover(this.#process())],
      [1, () => ({ type: "close discovery", nth: random.below(12) })],
      [2, () => ({ type: "crash", process: this.#process() })],
      [3, () => ({ type: "respawn", process: this.#process() })],
      [2, () => ({ ...lasting("restart"), process: this.#process() })],
      [3, () => ({ type: "put", key: this.#key(), value: this.#value(), ttlSeconds: this.of([0, 5, 20]) })],
      [
        2,
        () => ({
          type: "put",
          key: this.of(["/web/x/y", "/web/z", "/api/%7a", "/web-admin/a", "/web/\u00ff"]),
          value: this.#value(),
          ttlSeconds: this.of([0, 5]),
        }),
      ],
      [4, () => ({ type: "delete", key: this.#key() })],
      [3, () => ({ type: "transaction", prefix: `/${this.of(services)}/`, keys: 2 + random.below(3) })],
      [1, () => ({ type: "burst", prefix: `/${this.of(services)}/`, count: this.of([50, 1_050, 2_300]) })],
      [3, () => ({ type: "end lease", nth: random.below(6) })],
      [5, () => ({ type: "compact", behind: this.of([0, 0, 1, 2, 10]) })],
      [3, () => ({ type: "cut" })],
      [2, () => lasting("refuse")],
      [2, () => lasting("freeze")],
      [2, () => lasting("kill")],
      [2, () => lasting("hold")],
      [1, () => lasting("full")],
      [1, () => ({ ...lasting("wipe"), newCluster: random.below(4) === 0 })],
      [
        2,
        () => ({
          ...lasting("behave"),
          changes: this.of<Partial<Behaviour>>([
            { progress: "at-once" },
            { renewsDeadLeases: true },
            { replaysHistory: true },
            ...(this.#isSilent ? [{ losesDeletes: true }] : []),
          ]),
        }),
      ],
      // Less than the 3 s between the two looks at a lower revision.
      [1, () => ({ type: "behave", forMs: random.below(2_900), changes: { servesStaleReads: true } })],
      [2, () => ({ type: "drop renewal", process: this.#process() })],
      [6, () => this.weatherOn(this.#process())],
      [4, () => ({ type: "cut link", process: this.#process() })],
      [3, () => ({ ...lasting("black hole"), process: this.#process() })],
      [2, () => ({ ...lasting("refuse link"), process: this.#process() })],
      [4, () => ({ ...lasting("pause"), process: this.#process(), timersFirst: random.below(2) === 0 })],
    ];
  }
}
