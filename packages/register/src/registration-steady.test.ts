import { beforeEach, expect, it } from "vitest";
import { Harness } from "../test/harness.js";
import { register } from "./register.js";

const KEY = "/web/node1";
let bench: Harness;
beforeEach(() => {
  bench = new Harness();
  return () => bench.end();
});

/** Deletes the key; tells after how long it is back. */
async function repairMs(): Promise<number> {
  const deletedAt = bench.clock.now();
  bench.memory.delete(KEY);
  await bench.clock.settle();
  while (bench.textOf(KEY) === undefined) await bench.clock.advance(50);
  return bench.clock.now() - deletedAt;
}

it.each([
  { heldMs: 29_900, isNew: false },
  { heldMs: 30_100, isNew: true },
])("a repair after $heldMs ms of holding is a first one: $isNew (R8)", async ({ heldMs, isNew }) => {
  await bench.run(
    register(bench.client, { service: "web", id: "node1", address: "localhost:8000", ttlSeconds: 15 }),
  );
  for (let repair = 0; repair < 8; repair += 1) await repairMs();
  expect(await repairMs(), "slowed down").toBeGreaterThanOrEqual(4_900);
  await bench.clock.advance(heldMs);
  expect(await repairMs(), "at once: it was held for long").toBe(0);
  const next = await repairMs();
  if (isNew) expect(next).toBeLessThanOrEqual(1_000);
  else expect(next).toBeGreaterThanOrEqual(4_900);
});
