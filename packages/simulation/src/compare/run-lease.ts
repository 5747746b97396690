import { FaultProxy } from "@sd/testing";
import { type Lab, UNTIL_MS } from "./lab.js";
import { type LeaseScenario, TTL_SECONDS } from "./lease-scenarios.js";
import type { Library } from "./library.js";

/** How one library has come through a schedule. */
export interface LeaseResult {
  readonly library: string;
  /** Writes to the key since it was first put. */
  readonly writes: number;
  /** Those that found the key there. */
  readonly needless: number;
  /** How often the key went away. */
  readonly deletes: number;
  /** From the end of the schedule until the key was there for good; `undefined`: it is not there. */
  readonly thereAfterMs: number | undefined;
}

/** Runs one schedule for all libraries at once, each behind a proxy of its own. */
export async function runLease(
  lab: Lab,
  libraries: readonly Library[],
  { run }: LeaseScenario,
  prefix: string,
): Promise<LeaseResult[]> {
  const start = (): Promise<FaultProxy> => FaultProxy.start({ target: lab.etcd.endpoint });
  const ways = await Promise.all(libraries.map(start));
  const keys = libraries.map(({ name }) => `${prefix}${name}`);
  const holdings = await Promise.all(
    libraries.map((each, index) =>
      each.hold([(ways[index] as FaultProxy).endpoint], keys[index] as string, "10.0.0.1:80", TTL_SECONDS),
    ),
  );
  await lab.rest();
  await lab.oracle.catchUp();
  const from = lab.oracle.revision;
  await run(lab, ways, keys);
  const healedAt = lab.clock.now();
  // The whole time: a key may go away late, and come back later.
  await lab.pause(UNTIL_MS / 2);
  await lab.oracle.catchUp();
  const results = keys.map((key, index) => {
    const events = lab.oracle.life.of(key).filter(({ kv }) => kv.modRevision > from);
    const puts = events.filter(({ type }) => type === "put");
    const isThere = lab.oracle.life.at(key, lab.oracle.revision) !== undefined;
    // When it was there, and has not been away since.
    const lastDelete = events.findLastIndex(({ type }) => type === "delete");
    const backAt = lastDelete < 0 ? healedAt : (events[lastDelete + 1]?.at ?? Number.POSITIVE_INFINITY);
    return {
      library: (libraries[index] as Library).name,
      writes: puts.length,
      needless: puts.filter(({ previous }) => previous !== undefined).length,
      deletes: events.length - puts.length,
      thereAfterMs: isThere ? Math.max(0, backAt - healedAt) : undefined,
    };
  });
  await Promise.all(holdings.map((each) => each.close()));
  for (const way of ways) await way[Symbol.asyncDispose]();
  return results;
}
