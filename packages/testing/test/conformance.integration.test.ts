import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { etcdBinaries } from "../src/index.js";
import { script } from "./conformance/arbitraries.js";
import { Lane } from "./conformance/lane.js";
import { Pair } from "./conformance/pair.js";
import { PortPair } from "./conformance/port-pair.js";
import { scripts } from "./conformance/scripts.js";

/** Of each door; half of them on each lane. About 600 steps each, of which the port can say nine in ten. */
const RUNS = Number(process.env["SD_CONFORMANCE_RUNS"] ?? 22);
/** On average: with the default, more than 10,000 through each door. */
const MIN_STEPS = 455;

const doors = [
  { door: "gRPC", start: Pair.start },
  { door: "the port", start: PortPair.start },
];
const cases = etcdBinaries().flatMap((etcd) => doors.map((door) => ({ ...etcd, ...door })));

describe.each(cases)("MemoryEtcd behind $door answers as $name does", ({ name, binary, ...each }) => {
  const lanes = [1, 2].map(() => new Lane(() => each.start(binary)));
  const [first] = lanes;
  const steps = () => lanes.reduce((sum, { compared }) => sum + compared.answers, 0);

  afterAll(async () => {
    await Promise.all(lanes.map((lane) => lane.close()));
    const events = lanes.reduce((sum, { compared }) => sum + compared.events, 0);
    process.stdout.write(`conformance: ${each.door}, ${name}: ${steps()} answers, ${events} events\n`);
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
});
