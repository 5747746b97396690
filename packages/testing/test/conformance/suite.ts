import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { type EtcdBinary, etcdBinaries } from "../../src/index.js";
import { script } from "./arbitraries.js";
import { type Comparison, Lane } from "./lane.js";
import { scripts } from "./scripts.js";

/** Of each door; half of them on each lane. About 600 steps each, of which the port can say nine in ten. */
const RUNS = Number(process.env["SD_CONFORMANCE_RUNS"] ?? 22);
/** On average: with the default, more than 10,000 through each door. */
const MIN_STEPS = 455;

/** Declares the tests of one door, for each etcd that there is. `start` makes two etcds, a real one and ours. */
export function compareThrough(door: string, start: (binary: string) => Promise<Comparison>): void {
  describe.each(etcdBinaries())(`MemoryEtcd behind ${door} answers as $name does`, (etcd) =>
    compareWith(etcd, door, start),
  );
}

function compareWith(
  { name, binary }: EtcdBinary,
  door: string,
  start: (binary: string) => Promise<Comparison>,
): void {
  const lanes = [1, 2].map(() => new Lane(() => start(binary)));
  const [first] = lanes;
  const steps = () => lanes.reduce((sum, { compared }) => sum + compared.answers, 0);

  afterAll(async () => {
    await Promise.all(lanes.map((lane) => lane.close()));
    const events = lanes.reduce((sum, { compared }) => sum + compared.events, 0);
    process.stdout.write(`conformance: ${door}, ${name}: ${steps()} answers, ${events} events\n`);
  });

  it.each(Object.keys(scripts))("in %s", async (title) => {
    await first?.run(scripts[title] ?? [], { whole: true });
  });

  it("in what fast-check makes up", { timeout: 300_000 }, async () => {
    // Of more than twelve keys, Go does not keep the order of those that sort alike: begin without a past.
    await first?.renew();
    const before = steps();
    // Shrinking takes a new etcd for each try: minutes, for who wants to wait.
    const endOnFailure = process.env["SD_CONFORMANCE_SHRINK"] === undefined;
    const property = (lane: Lane) => fc.asyncProperty(script, (planned) => lane.run(planned));
    // While one waits for its watches, the other goes on.
    const outcomes = await Promise.allSettled(
      lanes.map((lane) => fc.assert(property(lane), { numRuns: Math.ceil(RUNS / 2), endOnFailure })),
    );
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    expect(steps() - before).toBeGreaterThan(RUNS * MIN_STEPS);
  });
}
