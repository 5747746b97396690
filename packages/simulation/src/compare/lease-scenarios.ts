import type { FaultProxy } from "@sd/testing";
import type { Lab } from "./lab.js";

export const TTL_SECONDS = 5;
const SHORT_MS = 2_000;
const LONG_MS = 3 * TTL_SECONDS * 1_000;

/** A schedule of faults, the same for all libraries at the same time; each holds one key. */
export interface LeaseScenario {
  readonly name: string;
  /** Whether the lease outlives the fault, so that nothing need be written. */
  readonly isHarmless: boolean;
  run(lab: Lab, ways: readonly FaultProxy[], keys: readonly string[]): Promise<void>;
}

export const leaseScenarios: readonly LeaseScenario[] = [
  killed("etcd killed, shorter than the TTL", SHORT_MS),
  killed("etcd killed, for 3 TTLs", LONG_MS),
  {
    name: "etcd frozen, for 3 TTLs",
    isHarmless: false,
    async run(lab) {
      await lab.etcd.freeze();
      await lab.pause(LONG_MS);
      await lab.etcd.thaw();
    },
  },
  blackHoled("black hole, shorter than the TTL", SHORT_MS, true),
  blackHoled("black hole, for 3 TTLs", LONG_MS, false),
  {
    name: "tarpit, for 3 TTLs",
    isHarmless: false,
    async run(lab, ways) {
      for (const way of ways) {
        way.tarpit();
        way.reset();
      }
      await lab.pause(LONG_MS);
      for (const way of ways) way.pass();
    },
  },
  {
    name: "lease revoked by somebody else",
    isHarmless: false,
    async run(lab, _ways, keys) {
      for (const key of keys) await lab.gateway.revoke(lab.leaseOf(key));
    },
  },
  {
    name: "key deleted by somebody else",
    isHarmless: false,
    async run(lab, _ways, keys) {
      for (const key of keys) await lab.gateway.delete(key);
    },
  },
];

function killed(name: string, forMs: number): LeaseScenario {
  return {
    name,
    // The lease begins its TTL anew when etcd is back.
    isHarmless: true,
    async run(lab) {
      await lab.etcd.kill();
      await lab.pause(forMs);
      await lab.etcd.restart();
    },
  };
}

function blackHoled(name: string, forMs: number, isHarmless: boolean): LeaseScenario {
  return {
    name,
    isHarmless,
    async run(lab, ways) {
      for (const way of ways) way.blackhole();
      await lab.pause(forMs);
      for (const way of ways) {
        // What was lost stays lost: no connection goes on after such a gap.
        way.reset();
        way.pass();
      }
    },
  };
}
