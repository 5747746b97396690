import type { World } from "./world.js";

/** The published worst cases of R13 and D15, in milliseconds. */
const MAX_ABSENCE_MS = 10_000;
const MAX_CONVERGENCE_MS = 15_000;
/** Who was told that etcd is full asks again after 24 to 36 s. */
const FULL_MS = 37_000;
/** Until a comparison has found what nothing else shows: one and a half periods of it, and a list. */
const MAX_SILENCE_MS = 100_000;
/** After that a registration counts as steady: its next repair comes at once. */
const STEADY_MS = 31_000;
/** R8: 1 s and a round trip. */
const REPAIR_MS = 1_200;
const STEP_MS = 500;

/** All faults are over: everything comes to rest in time, stays at rest, follows changes, and goes. */
export async function settle(world: World, wasFull: boolean, isSilent: boolean): Promise<void> {
  const { clock, history } = world;
  const healedAt = clock.now();
  const absenceMs = MAX_ABSENCE_MS + (wasFull ? FULL_MS : 0);
  history.sync();
  endQuarrels(world);
  const convergenceMs = isSilent ? MAX_SILENCE_MS : MAX_CONVERGENCE_MS;
  await converge(world, healedAt, Math.max(absenceMs, convergenceMs) + STEADY_MS, convergenceMs);
  for (const discovery of living(world.discoveries)) discovery.isInDoubt = false;
  checkAbsence(world, healedAt, absenceMs, wasFull);
  checkRest(world);
  await checkFollowing(world);
  await checkRepair(world);
  const { revision } = world.memory;
  await clock.advance(20_000);
  checkSilence(world, revision);
  checkRest(world);
  for (const discovery of living(world.discoveries)) discovery.checkReader();
  await end(world);
}

async function converge(world: World, healedAt: number, forMs: number, maxMs: number): Promise<void> {
  const { clock, record } = world;
  const waiting = new Set(living(world.discoveries));
  for (let elapsed = 0; elapsed < forMs; elapsed = clock.now() - healedAt) {
    for (const discovery of [...waiting]) {
      discovery.sample();
      if (discovery.isRight()) record.totals.convergenceMs.push(elapsed);
      else if (elapsed < maxMs) continue;
      else
        record.blame(
          "D15",
          discovery.name,
          `not right after ${elapsed} ms: ${discovery.problems().join(", ")}`,
        );
      waiting.delete(discovery);
    }
    await clock.advance(STEP_MS);
  }
}

/** Two that take a key over from each other, whoever has it, never rest: an operator stops all but one. */
function endQuarrels({ registrations }: World): void {
  for (const key of new Set(registrations.map((each) => each.key))) {
    const rivals = registrations.filter((each) => each.isWanted && each.key === key);
    if (!rivals.some(({ wish }) => wish.onConflict === "takeover")) continue;
    for (const rival of rivals.slice(0, -1)) void rival.close();
  }
}

/** How long each key was away though somebody wanted to be there. */
function checkAbsence(world: World, healedAt: number, maxMs: number, wasFull: boolean): void {
  const { record, history } = world;
  history.sync();
  for (const key of wantedKeys(world)) {
    const changes = history.now.of(key);
    let isThere = changes.filter(({ at }) => at <= healedAt).at(-1)?.type === "put";
    let since = healedAt;
    const later = changes.filter(({ at }) => at > healedAt);
    for (const { type, at } of [...later, { type: "put", at: record.now }]) {
      if (!isThere && at - since > maxMs) record.blame("R13", key, `was absent for ${at - since} ms`);
      if (!isThere && since === healedAt && !wasFull) record.totals.presenceMs.push(at - since);
      if (isThere !== (type === "put")) since = at;
      isThere = type === "put";
    }
  }
}

/** Everybody is what it should be, and no key is there that should not. */
function checkRest(world: World): void {
  const { record, history, memory } = world;
  history.sync();
  for (const discovery of living(world.discoveries)) {
    discovery.sample();
    const problems = discovery.problems();
    if (problems.length > 0) record.blame("D15", discovery.name, problems.join(", "));
  }
  for (const registration of world.registrations) {
    if (!registration.isWanted) continue;
    const problem = registration.problem(memory.get(registration.key));
    if (problem !== undefined) record.blame("R13", registration.name, problem);
  }
  for (const [key, kv] of history.now.state("/", Number.POSITIVE_INFINITY)) {
    const owner = world.ownerOf(kv);
    if (owner && !owner.isWanted) record.blame("R9", owner.name, `${key} outlives it`);
  }
}

/** A change by somebody else arrives: nobody listens at a dead watch. */
async function checkFollowing(world: World): Promise<void> {
  const { clock, memory, record } = world;
  for (const change of [
    () => memory.put("/web/proof", "10.0.0.6:6"),
    () => memory.put("/api/proof", "10.0.0.6:6"),
    () => memory.delete("/web/proof"),
    () => memory.delete("/api/proof"),
  ]) {
    world.operate(change);
    await clock.advance(100);
    for (const discovery of living(world.discoveries)) {
      if (!discovery.isRight())
        record.blame("D16", discovery.name, `does not follow: ${discovery.problems().join(", ")}`);
    }
  }
}

/** A key that an operator deletes is put back. */
async function checkRepair(world: World): Promise<void> {
  const { clock, memory, record } = world;
  const keys = wantedKeys(world).filter((key) => {
    const kv = memory.get(key);
    return kv && world.ownerOf(kv);
  });
  for (const key of keys) world.operate(() => memory.delete(key));
  await clock.advance(REPAIR_MS);
  for (const key of keys) {
    if (!memory.get(key)) record.blame("R8", key, `is not back ${REPAIR_MS} ms after it was deleted`);
  }
}

/** Nothing is written while nothing happens. */
function checkSilence(world: World, revision: number): void {
  const { record, history } = world;
  history.sync();
  for (const event of history.now.between("/", revision, Number.POSITIVE_INFINITY)) {
    const owner = event.type === "put" ? world.ownerOf(event.kv) : undefined;
    if (owner) record.blame("R14", owner.name, `wrote ${event.key}@${event.kv.modRevision} for no reason`);
  }
}

async function end(world: World): Promise<void> {
  const { clock, memory, record, units } = world;
  const closings = world.registrations.filter((each) => each.isWanted).map((each) => each.close());
  await clock.advance(3_500);
  await bounded(world, closings, "R9", "close() of a registration has not come to an end");
  for (const [key, kv] of world.history.now.state("/", Number.POSITIVE_INFINITY)) {
    const owner = world.ownerOf(kv);
    if (owner) record.blame("R9", owner.name, `${key} is there after close()`);
  }
  for (const { process } of units) process.bury();
  const closed = units.map(({ client }) => client.close());
  await clock.advance(5_000);
  await bounded(world, closed, "D19", "close() of a client has not come to an end");
  if (memory.openStreams > 0)
    record.blame("D19", "etcd", `${memory.openStreams} streams are open at the end`);
  await memory.close();
  // Calls that nobody waits for any more end by their own time limit.
  await clock.advance(60_000);
  if (clock.pending > 0) record.blame("D19", "simulation", `${clock.pending} timers are left at the end`);
}

/** All should have settled by now: nobody waits for ever. */
async function bounded(
  { record, clock }: World,
  work: readonly Promise<unknown>[],
  invariant: string,
  text: string,
): Promise<void> {
  const late = new Set(work);
  for (const each of work) each.finally(() => late.delete(each)).catch(() => {});
  await clock.settle();
  if (late.size > 0) record.blame(invariant, "simulation", `${text} (${late.size})`);
}

function wantedKeys({ registrations }: World): string[] {
  return [...new Set(registrations.filter((each) => each.isWanted).map(({ key }) => key))];
}

function living<T extends { readonly isOpen: boolean }>(subjects: readonly T[]): T[] {
  return subjects.filter((each) => each.isOpen);
}
