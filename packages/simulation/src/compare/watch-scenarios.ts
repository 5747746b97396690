import type { Lab, Ways } from "./lab.js";

/** A schedule of faults and writes, the same for all libraries at the same time. */
export interface WatchScenario {
  readonly name: string;
  /** With two ways to etcd; else the second one is not told. */
  readonly hasTwoWays?: boolean;
  /** `ways` of each library. Ends with the faults. */
  run(lab: Lab, ways: readonly Ways[], prefix: string): Promise<void>;
}

const CATCH_UP = 6_000;
const HOLD_MS = 10_000;

export const watchScenarios: readonly WatchScenario[] = [
  {
    name: `reset while ${CATCH_UP} events are caught up with`,
    async run(lab, ways, prefix) {
      await disconnected(ways, () => lab.puts(prefix, CATCH_UP));
      for (const [way] of ways) {
        way.pass();
        way.resetAfterBytes(100_000);
      }
    },
  },
  {
    name: `reset right after "created", ${CATCH_UP} events behind`,
    async run(lab, ways, prefix) {
      await disconnected(ways, () => lab.puts(prefix, CATCH_UP));
      for (const [way] of ways) {
        way.pass();
        way.resetAfterBytes(600);
      }
    },
  },
  {
    name: "compaction while disconnected, 200 puts and 100 deletes",
    async run(lab, ways, prefix) {
      await lab.puts(prefix, 100);
      await lab.rest();
      await disconnected(ways, async () => {
        await lab.puts(`${prefix}new-`, 200);
        await lab.deletes(prefix, 100);
        await lab.compact();
      });
      for (const [way] of ways) way.pass();
    },
  },
  {
    name: "one of two ways black-holed for good, 100 puts",
    hasTwoWays: true,
    async run(lab, ways, prefix) {
      const used = ways.map(() => 0);
      using _ = lab.observe(ways, used);
      await lab.puts(`${prefix}probe-`, 20);
      await lab.rest();
      for (const [index, each] of ways.entries()) each[used[index] === 1 ? 1 : 0].blackhole();
      await lab.puts(prefix, 100);
    },
  },
  {
    name: `tarpit for ${HOLD_MS / 1_000} s, 100 puts`,
    async run(lab, ways, prefix) {
      for (const [way] of ways) {
        way.tarpit();
        way.reset();
      }
      await lab.puts(prefix, 100);
      await lab.pause(HOLD_MS);
      for (const [way] of ways) way.pass();
    },
  },
  {
    name: "etcd killed for 3 s, then 100 puts",
    async run(lab, _ways, prefix) {
      await lab.etcd.kill();
      await lab.pause(3_000);
      await lab.etcd.restart();
      await lab.puts(prefix, 100);
    },
  },
];

async function disconnected(ways: readonly Ways[], work: () => Promise<void>): Promise<void> {
  for (const [way] of ways) {
    way.refuse();
    way.reset();
  }
  await work();
}
