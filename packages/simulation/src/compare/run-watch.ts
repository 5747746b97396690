import { FaultProxy } from "@sd/testing";
import { type Lab, UNTIL_MS, type Ways } from "./lab.js";
import type { Library, Watching } from "./library.js";
import type { WatchScenario } from "./watch-scenarios.js";

const POLL_MS = 50;
/** Who is right may still be told a thing twice. */
const AFTER_MS = 1_000;

/** How one library has come through a schedule. */
export interface WatchResult {
  readonly library: string;
  readonly events: number;
  /** Events that it did not tell one by one. */
  readonly untold: number;
  readonly twice: number;
  /** Keys that its user has wrong in the end. */
  readonly wrongKeys: number;
  /** From the end of the schedule until its user was right; `undefined`: never. */
  readonly rightAfterMs: number | undefined;
}

/** Runs one schedule for all libraries at once, each behind proxies of its own. */
export async function runWatch(
  lab: Lab,
  libraries: readonly Library[],
  { run, hasTwoWays }: WatchScenario,
  prefix: string,
): Promise<WatchResult[]> {
  const target = lab.etcd.endpoint;
  const start = async (): Promise<Ways> => [
    await FaultProxy.start({ target }),
    await FaultProxy.start({ target }),
  ];
  const ways = await Promise.all(libraries.map(start));
  const watchings = await Promise.all(
    libraries.map((each, index) =>
      each.watch(
        (ways[index] as Ways).slice(0, hasTwoWays ? 2 : 1).map(({ endpoint }) => endpoint),
        prefix,
      ),
    ),
  );
  await lab.rest();
  const from = await lab.gateway.revision();
  await run(lab, ways, prefix);
  const healedAt = lab.clock.now();
  await lab.oracle.catchUp();
  const rightAt = watchings.map((): number | undefined => undefined);
  while (lab.clock.now() - healedAt < UNTIL_MS && rightAt.includes(undefined)) {
    for (const [index, each] of watchings.entries())
      if (wrongKeys(lab, each, prefix) === 0) rightAt[index] ??= lab.clock.now() - healedAt;
    await lab.pause(POLL_MS);
  }
  await lab.pause(AFTER_MS);
  const events = lab.oracle.life
    .between(prefix, from, lab.oracle.revision)
    .map(({ type, key, kv }) => `${type === "put" ? "+" : "-"}${key}@${kv.modRevision}`);
  const results = watchings.map((each, index) => {
    const told = new Set(each.told);
    return {
      library: (libraries[index] as Library).name,
      events: events.length,
      untold: events.filter((event) => !told.has(event)).length,
      twice: each.told.length - told.size,
      wrongKeys: wrongKeys(lab, each, prefix),
      rightAfterMs: rightAt[index],
    };
  });
  for (const way of ways.flat()) await way[Symbol.asyncDispose]();
  await Promise.all(watchings.map((each) => each.close()));
  return results;
}

function wrongKeys({ oracle }: Lab, { held }: Watching, prefix: string): number {
  const state = oracle.life.state(prefix, oracle.revision);
  let wrong = 0;
  for (const [key, { modRevision }] of state) if (held.get(key) !== modRevision) wrong += 1;
  for (const key of held.keys()) if (!state.has(key)) wrong += 1;
  return wrong;
}
