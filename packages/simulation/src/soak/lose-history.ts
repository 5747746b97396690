import { sleep } from "@sd/core";
import type { Step } from "./plan.js";
import type { Scene } from "./scene.js";

/** By then the last words of members that were killed have arrived everywhere, through slow links too. */
const ECHO_MS = 1_500;
/** What is written after a snapshot, and lost. */
const LOST_MS = 2_000;
const MAX_TRIES = 20;

/**
 * Kills all members, and starts them with no data, or with those of a snapshot from seconds ago; half of the time
 * under other ids.
 *
 * Wiped, they would have forgotten users and rights: in a secure soak they are always restored.
 */
export async function loseHistory(scene: Scene, { kind, forMs, which }: Step): Promise<void> {
  const { cluster, access } = scene.site;
  const isWipe = kind === "wipe-all" && !access;
  const taken = isWipe ? undefined : await snapshot(scene);
  if (!isWipe && !taken) return scene.ledger.note("fault", `${kind}: etcd was never at rest for a snapshot`);
  if (taken) await sleep(scene.clock, LOST_MS);
  scene.ledger.note("fault", `${kind} ${taken ? `to revision ${taken.revision}` : ""} after ${forMs} ms`);
  await scene.oracle.catchUp().catch(() => {});
  await cluster.kill();
  await sleep(scene.clock, Math.max(ECHO_MS, forMs));
  if (taken)
    await cluster.restore(taken.bytes, which < 0.5 ? {} : { token: `soak-${scene.oracle.revision}` });
  else await cluster.wipe();
  scene.loseHistory(taken?.revision ?? 0);
  await cluster.restart();
  scene.ledger.note("fault", `${kind} is over`);
}

/** A snapshot with the revision that it is of: nothing is written meanwhile, else it is taken anew. */
async function snapshot({ site, gateway, traffic, clock }: Scene) {
  for (let left = MAX_TRIES; left > 0; left -= 1) {
    using _ = traffic.hold();
    try {
      const revision = await gateway.revision();
      const bytes = await site.cluster.snapshot();
      if ((await gateway.revision()) === revision) return { bytes, revision };
    } catch {
      // A member is away for now.
    }
    await sleep(clock, 200);
  }
  return undefined;
}
