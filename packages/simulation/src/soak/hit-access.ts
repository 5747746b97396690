import { sleep } from "@sd/core";
import { type EtcdProcess, eventually } from "@sd/testing";
import type { Step } from "./plan.js";
import type { Scene } from "./scene.js";

/** By then etcd is at work again, whatever else has happened to it. */
const PATIENCE = { timeoutMs: 60_000, everyMs: 200 };

/** Takes the guests' rights for a while, or exchanges certificates for good ones or for one that is not. */
export async function hitAccess(scene: Scene, { kind, forMs, member: number }: Step): Promise<void> {
  const { site, ledger, clock } = scene;
  const { access, cluster } = site;
  if (!access) return;
  const { members } = cluster;
  const member = members[number % members.length] as EtcdProcess;
  ledger.note("fault", `${kind} ${member.name} for ${forMs} ms`);
  switch (kind) {
    case "revoke-permission":
      scene.hasRefused = true;
      for (const rights of access.guestRights(false)) await operate(scene, rights);
      await sleep(clock, forMs);
      for (const rights of access.guestRights(true)) await operate(scene, rights);
      break;
    case "rotate-certificates":
      for (const each of members) await each.useCertificate(await access.serverCertificate(true));
      reset(scene, members);
      break;
    case "expired-certificate":
      await member.useCertificate(await access.serverCertificate(false));
      reset(scene, [member]);
      await sleep(clock, forMs);
      await member.useCertificate(await access.serverCertificate(true));
      break;
    default:
  }
  ledger.note("fault", `${kind} ${member.name} is over`);
}

async function operate({ site: { cluster } }: Scene, args: readonly string[]): Promise<void> {
  // What was done already is refused.
  await eventually(
    async () =>
      (await cluster.leader()).ctl(...args).catch((error: unknown) => {
        if (!/permission is not granted/.test(String(error))) throw error;
      }),
    PATIENCE,
  );
}

/** Connections to these members break, and come back by another handshake. */
function reset({ site: { cluster, zones } }: Scene, members: readonly EtcdProcess[]): void {
  for (const { proxies } of zones)
    for (const member of members) proxies[cluster.members.indexOf(member)]?.reset();
}
