import { sleep } from "@sd/core";
import type { Registrar } from "./registrar.js";
import type { Scene } from "./scene.js";

/** So many keys at once lose their lease, or are deleted. */
const HIT = 6;
/** As published (R8), but for the round trips. */
const MAX_REPAIR_MS = 1_000;
/** A lease is granted, the key is written, and we hear of it. */
const ROUND_TRIPS = 4;
const PATIENCE_MS = 15_000;

/** While all is well an operator revokes leases and deletes keys: each is put back at once (R8). */
export async function repair(scene: Scene): Promise<void> {
  const { ledger, clock, gateway } = scene;
  const chosen = new Set<Registrar>();
  for (let left = HIT; left > 0; left -= 1) chosen.add(scene.registrarAt(scene.random.next()));
  const askedAt = ledger.now;
  await gateway.revision().catch(() => {});
  const limitMs = MAX_REPAIR_MS + ROUND_TRIPS * (ledger.now - askedAt);
  await Promise.all(
    [...chosen].map(async (each, index) => {
      const { mine, key } = each;
      if (!mine) return;
      const kind = index % 2 === 0 ? "revoke-lease" : "delete-key";
      scene.operated.add(key);
      ledger.totals.fault(`${kind}-in-calm`);
      const since = ledger.now;
      await (kind === "revoke-lease" ? gateway.revoke(mine.lease) : gateway.delete(key));
      while (!isBack(each, mine.modRevision) && ledger.now - since < PATIENCE_MS) await sleep(clock, 5);
      const tookMs = ledger.now - since;
      ledger.repair.add(tookMs);
      if (tookMs > limitMs)
        ledger.blame(
          "R8",
          each.name,
          `${key} was back ${tookMs.toFixed(0)} ms after ${kind}, not ${limitMs.toFixed(0)}`,
        );
    }),
  );
}

function isBack({ mine, isHome }: Registrar, before: number): boolean {
  return isHome && mine !== undefined && mine.modRevision > before;
}
