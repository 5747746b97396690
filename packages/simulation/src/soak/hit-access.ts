import { sleep } from "@sd/core";
import { CertificateAuthority, type EtcdProcess, eventually } from "@sd/testing";
import type { Access } from "./access.js";
import type { Step } from "./plan.js";
import type { Scene } from "./scene.js";

/** By then etcd is at work again, whatever else has happened to it. */
const PATIENCE = { timeoutMs: 60_000, everyMs: 200 };

/** Exchanges certificates, or their authority; changes who may do what; or has etcd ask nobody, for a while. */
export async function hitAccess(scene: Scene, { kind, forMs, member: number }: Step): Promise<void> {
  const { site, ledger, clock, gateway } = scene;
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
    case "change-password": {
      scene.hasRefused = true;
      const change = (isTheirs: boolean) =>
        eventually(() => gateway.call("auth/user/changepw", access.guestPassword(isTheirs)), PATIENCE);
      await change(false);
      await sleep(clock, forMs);
      await change(true);
      break;
    }
    case "change-roles":
      for (const role of access.otherRoles(true)) await operate(scene, role);
      await sleep(clock, forMs);
      for (const role of access.otherRoles(false)) await operate(scene, role);
      break;
    case "disable-auth":
      await operate(scene, ["auth", "disable"]);
      reset(scene, [member]);
      await sleep(clock, forMs);
      await operate(scene, ["auth", "enable"]);
      reset(scene, [member]);
      break;
    case "rotate-certificates":
      await access.issue(access.authority, [access.authority]);
      for (const each of members) await each.useCertificate(await access.serverCertificate(true));
      reset(scene, members);
      break;
    case "rotate-authority":
      await rotateAuthority(scene, access);
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

/** As operators do: all trust both, then all show what the new one has signed, then nobody trusts the old one. */
async function rotateAuthority(scene: Scene, access: Access): Promise<void> {
  const { members } = scene.site.cluster;
  const [old, next] = [access.authority, await CertificateAuthority.create("the next authority")];
  // What members trust they read when they start.
  for (const each of members) {
    await each.trust([old, next]);
    await each.restart();
  }
  await access.issue(next, [next, old]);
  for (const each of members) await each.useCertificate(await access.serverCertificate(true));
  reset(scene, members);
  await access.issue(next, [next]);
  for (const each of members) {
    await each.trust([next]);
    await each.restart();
  }
}

async function operate({ site: { cluster } }: Scene, args: readonly string[]): Promise<void> {
  // What was done already is refused.
  await eventually(
    async () =>
      (await cluster.leader()).ctl(...args).catch((error: unknown) => {
        if (!/is not granted/.test(String(error))) throw error;
      }),
    PATIENCE,
  );
}

/** Connections to these members break, and come back by another handshake. */
function reset({ site: { cluster, zones } }: Scene, members: readonly EtcdProcess[]): void {
  for (const { proxies } of zones)
    for (const member of members) proxies[cluster.members.indexOf(member)]?.reset();
}
