import { sleep } from "@sd/core";
import { commit } from "./faults.js";
import { outageClass } from "./phase.js";
import { drawStorm } from "./plan.js";
import { type Registrar, TTL_SECONDS } from "./registrar.js";
import { repair } from "./repair.js";
import { ROOT, type Scene } from "./scene.js";

const POLL_MS = 50;
/** The published worst cases, as in the simulation: R13 with the round trips after it, and D15. */
const MAX_ABSENCE_MS = 11_000;
const MAX_CONVERGENCE_MS = 15_000;
/** Until a comparison has found what nothing else shows: one and a half periods of it, and a list (D9). */
const MAX_SILENCE_MS = 100_000;
/** Who was refused asks again after 24 to 36 s. */
const REFUSED_MS = 37_000;
/** How long a key may outlive its owner once no leader changes any more (R9). */
const MAX_ORPHAN_MS = TTL_SECONDS * 1_000 + 2_000;
/** Re-registration is over by then, as published. */
const CALM_AFTER_MS = 6_000;
const REST_MS = 5_000;
/** A cluster without faults elects and answers in seconds; on a busy machine, in tens of them. */
const WELL_MS = 120_000;

/** Faults for `lengthMs`, and until all of them are over. @throws Error if etcd is not well two minutes later. */
export async function storm(scene: Scene, lengthMs: number): Promise<void> {
  const { ledger } = scene;
  ledger.phase = "storm";
  scene.hasNewLife = false;
  scene.operated.clear();
  scene.hasRefused = false;
  const ends: Promise<void>[] = [];
  const plan = { isSecure: scene.site.access !== undefined, number: scene.storms };
  scene.storms += 1;
  for (const step of drawStorm(scene.random, lengthMs, plan)) {
    await sleep(scene.clock, step.afterMs);
    scene.cutAt = ledger.now;
    ends.push(commit(scene, step));
  }
  await Promise.all(ends);
  for (const lease of scene.foreign) await scene.gateway.revoke(lease).catch(() => {});
  scene.foreign.clear();
  await untilWell(scene);
  ledger.note("fault", "all is well");
  ledger.healedAt = ledger.now;
  ledger.phase = "heal";
}

async function untilWell({ gateway, clock, site }: Scene): Promise<void> {
  const deadline = clock.now() + WELL_MS;
  while (!(await gateway.isWell())) {
    if (clock.now() > deadline) {
      const logs = site.cluster.members.map((member) => `${member.name}:\n${member.log()}`).join("\n");
      throw new Error(`etcd is not well ${WELL_MS} ms after the last fault\n${logs}`);
    }
    await sleep(clock, POLL_MS);
  }
}

/** All faults are over: everything comes to rest in time, stays at rest, and puts right what operators do. */
export async function settle(scene: Scene): Promise<void> {
  const { ledger, clock, oracle } = scene;
  await converge(scene);
  for (const each of scene.followers) each.endBreak();
  ledger.phase = "calm";
  const from = oracle.revision;
  await sleep(clock, Math.max(REST_MS, ledger.healedAt + MAX_ORPHAN_MS - ledger.now));
  checkRest(scene, from);
  await oracle.verify(ROOT).catch((error) => ledger.note("oracle", `not verified: ${error}`));
  await repair(scene);
  scene.forget();
}

/** Until all are back, and right, or have taken too long. */
async function converge(scene: Scene): Promise<void> {
  const { ledger, clock } = scene;
  const { healedAt } = ledger;
  const outage = outageClass(healedAt - scene.cutAt, TTL_SECONDS);
  const maxWrongMs = scene.hasNewLife ? MAX_SILENCE_MS : MAX_CONVERGENCE_MS;
  const present = scene.hasNewLife ? ledger.restoration : ledger.presence[outage];
  const converged = scene.hasNewLife ? ledger.reconciliation : ledger.convergence;
  const away = new Set<Registrar>();
  const wrong = new Set(scene.followers.filter((each) => !each.isRight));
  for (;;) {
    const tookMs = ledger.now - healedAt;
    // Who was cut off nearly for a TTL may still lose its lease.
    const isEarly = tookMs < CALM_AFTER_MS;
    for (const each of scene.registrars) if (isEarly && each.isWanted && !each.isHome) away.add(each);
    for (const each of away) {
      const wasRefused = scene.hasRefused && each.isGuest;
      if (each.isHome && scene.cutAt === 0) ledger.note(each.name, "is there for the first time");
      else if (each.isHome) (wasRefused ? ledger.readmission : present).add(tookMs);
      else if (tookMs < maxAbsenceMs(scene, wasRefused)) continue;
      else
        ledger.blame(
          "R13",
          each.name,
          `${each.key} is not back after ${tookMs.toFixed(0)} ms, and it is ${each.state.status}`,
        );
      away.delete(each);
    }
    for (const each of wrong) {
      const wasRefused = scene.hasRefused && each.isGuest;
      if (each.isRight) (wasRefused ? ledger.readmission : converged).add(tookMs);
      else if (tookMs < maxWrongMs + (wasRefused ? REFUSED_MS : 0)) continue;
      else ledger.blame("D15", each.name, each.problem);
      wrong.delete(each);
    }
    if (!isEarly && away.size + wrong.size === 0) return;
    await sleep(clock, POLL_MS);
  }
}

function maxAbsenceMs({ hasNewLife }: Scene, wasRefused: boolean): number {
  // A restored key of a process that is gone goes with its lease.
  return MAX_ABSENCE_MS + (hasNewLife ? MAX_ORPHAN_MS : 0) + (wasRefused ? REFUSED_MS : 0);
}

/** Everybody goes, and nothing is left. */
export async function end(scene: Scene): Promise<void> {
  const { ledger, oracle, gateway, clock } = scene;
  await scene.quiet();
  await Promise.all(scene.registrars.filter(({ isWanted }) => isWanted).map((each) => each.close()));
  await Promise.all(scene.followers.map((each) => each.close()));
  await sleep(clock, MAX_ORPHAN_MS);
  await oracle.catchUp();
  for (const { mine, name, key } of [...scene.registrars, ...scene.ended])
    if (mine) ledger.blame("R9 orphan", name, `${key} is there after the end`);
  const leases = await gateway.leases();
  if (leases.length > 0) ledger.blame("R9 orphan", "etcd", `${leases.length} leases are left at the end`);
  oracle.close();
}

/** Everybody is what it should be, and nobody has written since `from`. */
function checkRest(scene: Scene, from: number): void {
  const { ledger, oracle } = scene;
  for (const each of scene.registrars) {
    if (each.isWanted && !each.isHome)
      ledger.blame("R13", each.name, `${each.key} is not held, and it is ${each.state.status}`);
    if (!each.isWanted && each.mine) ledger.blame("R9 orphan", each.name, `${each.key} outlives it`);
  }
  for (const each of scene.followers) if (!each.isRight) ledger.blame("D15", each.name, each.problem);
  for (const { type, kv, key } of oracle.life.between(ROOT, from, oracle.revision)) {
    const owner = type === "put" ? scene.ownerOf(kv.lease) : undefined;
    if (owner) ledger.blame("R14 needless", owner.name, `wrote ${key}@${kv.modRevision} while all was calm`);
  }
}
