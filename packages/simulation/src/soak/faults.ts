import { sleep } from "@sd/core";
import { type EtcdProcess, eventually, type FaultProxy } from "@sd/testing";
import { hitAccess } from "./hit-access.js";
import { loseHistory } from "./lose-history.js";
import type { Step } from "./plan.js";
import type { Registrar } from "./registrar.js";
import type { Scene } from "./scene.js";
import type { Zone } from "./site.js";

const FOREIGN_TTL_SECONDS = 3;
const BURST = 150;
/** A batch for who catches up is of 1,000 revisions. */
const CATCH_UP = 1_500;
const CATCH_UP_MS = 8_000;

/** Makes a fault, and ends it when its time is over. Faults of the cluster wait for each other. */
export async function commit(scene: Scene, step: Step): Promise<void> {
  const { kind, forMs } = step;
  scene.ledger.totals.fault(kind);
  switch (kind) {
    case "kill":
    case "kill-leader":
    case "freeze":
    case "freeze-leader":
    case "restart":
    case "move-leader":
    case "isolate":
    case "isolate-leader":
    case "lose-majority":
    case "kill-all":
    case "freeze-all":
      return scene.oneByOne(() => hitCluster(scene, step));
    case "revoke-permission":
    case "change-password":
    case "change-roles":
    case "disable-auth":
    case "rotate-certificates":
    case "rotate-authority":
    case "expired-certificate":
      return scene.oneByOne(() => hitAccess(scene, step));
    case "wipe-all":
    case "restore-all":
      return scene.oneByOne(() => loseHistory(scene, step));
    case "revoke-lease":
    case "delete-key":
    case "overwrite-key":
    case "burst":
    case "bad-values":
      return operate(scene, step);
    case "crash":
    case "restart-registrar":
    case "roll-registrar":
      return hitRegistrar(scene, step);
    case "restart-discoverer":
      scene.ledger.note("fault", `${kind} ${step.which.toFixed(2)}`);
      return scene.renewFollower(step.which, forMs);
    default:
      return hitNetwork(scene, step);
  }
}

async function hitCluster(scene: Scene, { kind, forMs, member: number }: Step): Promise<void> {
  const { cluster } = scene.site;
  const { members } = cluster;
  const isLeader = kind.endsWith("-leader") && kind !== "move-leader";
  const member = isLeader ? await cluster.leader() : (members[number % members.length] as EtcdProcess);
  scene.ledger.note("fault", `${kind} ${member.name} for ${forMs} ms`);
  switch (kind) {
    case "kill":
    case "kill-leader":
      await member.kill();
      await pause(scene, forMs);
      await member.restart();
      break;
    case "freeze":
    case "freeze-leader":
      await member.freeze();
      await pause(scene, forMs);
      await member.thaw();
      break;
    case "restart":
      await member.restart();
      break;
    case "move-leader":
      await cluster.moveLeader();
      break;
    case "isolate":
    case "isolate-leader":
      cluster.isolate(member);
      await pause(scene, forMs);
      cluster.heal();
      break;
    case "freeze-all":
      await Promise.all(members.map((each) => each.freeze()));
      await pause(scene, forMs);
      await Promise.all(members.map((each) => each.thaw()));
      break;
    case "kill-all":
    case "lose-majority": {
      const lost = members.filter((each) => kind === "kill-all" || each !== member);
      await Promise.all(lost.map((each) => each.kill()));
      await pause(scene, forMs);
      await Promise.all(lost.map((each) => each.restart()));
      break;
    }
    default:
  }
  scene.ledger.note("fault", `${kind} ${member.name} is over`);
}

/**
 * Of each way the newest fault. One of before that ends later leaves it alone: else it would end a black hole without a
 * reset, and no network goes on after such a gap.
 */
const hitBy = new WeakMap<FaultProxy, Step>();

async function hitNetwork(scene: Scene, step: Step): Promise<void> {
  const { kind, forMs, which } = step;
  const zone = scene.site.zones[step.zone];
  if (!zone) return;
  const proxies = proxiesOf(scene, zone, step);
  const names = kind.endsWith("-everywhere") ? "" : proxies.map((each) => nameOf(zone, each)).join(" ");
  scene.ledger.note("fault", `${kind} ${names} for ${forMs} ms`);
  for (const proxy of proxies) {
    switch (kind) {
      case "reset":
      case "reset-all":
        proxy.reset();
        break;
      case "cut-after-bytes":
        proxy.resetAfterBytes(Math.floor(which * 20_000));
        break;
      case "black-hole-up":
        proxy.blackhole("up");
        break;
      case "black-hole-down":
        proxy.blackhole("down");
        scene.expectReplaced(endpointOf(zone, proxy), scene.ledger.halfOpen, forMs);
        break;
      case "black-hole-both":
        proxy.blackhole("both");
        scene.expectReplaced(endpointOf(zone, proxy), scene.ledger.halfOpen, forMs);
        break;
      case "black-hole-all":
      case "black-hole-everywhere":
        proxy.blackhole("both");
        break;
      case "half-close":
        proxy.halfClose(which < 0.5 ? "up" : "down");
        break;
      case "tarpit":
        proxy.tarpit();
        scene.expectReplaced(endpointOf(zone, proxy), scene.ledger.tarpit, forMs);
        proxy.reset();
        break;
      case "cut-catch-up":
      case "refuse-all":
      case "refuse-everywhere":
        proxy.refuse();
        proxy.reset();
        break;
      case "delay-all":
        proxy.delay(20 + which * 400);
        proxy.jitter(50);
        break;
      case "slow-all":
        proxy.limitBandwidth(16_384 + Math.floor(which * 49_152));
        break;
      case "slice-all":
        proxy.slice();
        break;
      default:
    }
  }
  if (kind === "reset" || kind === "reset-all") return;
  for (const proxy of proxies) hitBy.set(proxy, step);
  const left = (): FaultProxy[] => proxies.filter((each) => hitBy.get(each) === step);
  if (kind === "cut-catch-up") return cutCatchUp(scene, left, which);
  await pause(scene, forMs);
  for (const proxy of left()) {
    // What was lost stays lost.
    if (kind.startsWith("black-hole") || kind === "half-close") proxy.reset();
    proxy.pass();
  }
  scene.ledger.note("fault", `${kind} ${names} is over`);
}

/** Who could not hear for more than a batch of etcd's is cut off again while it catches up. */
async function cutCatchUp(scene: Scene, left: () => readonly FaultProxy[], which: number): Promise<void> {
  using _ = scene.traffic.holdCompaction();
  for (let left = CATCH_UP; left > 0; left -= 1) await scene.traffic.write().catch(() => {});
  for (const proxy of left()) {
    proxy.pass();
    proxy.resetAfterBytes(Math.floor(2_000 + which * 100_000));
  }
  // Until it has listened again, for so long a pause may be.
  await pause(scene, CATCH_UP_MS);
  for (const proxy of left()) proxy.pass();
}

function proxiesOf(scene: Scene, zone: Zone, { kind, member, which }: Step): readonly FaultProxy[] {
  if (kind.endsWith("-everywhere")) return scene.site.zones.flatMap(({ proxies }) => proxies);
  if (kind.endsWith("-all") || kind === "cut-catch-up") return zone.proxies;
  // One that leads a watch of a discovery, if there is any: else it would often hit nobody.
  const endpoints = scene.followers
    .filter(({ party }) => party.zone === zone)
    .map(({ party }) => party.watchEndpoint);
  const inUse = zone.proxies.filter((proxy) => endpoints.includes(endpointOf(zone, proxy)));
  return [
    (inUse[Math.floor(which * inUse.length)] ?? zone.proxies[member % zone.proxies.length]) as FaultProxy,
  ];
}

function endpointOf(zone: Zone, proxy: FaultProxy): string {
  return zone.endpoints[zone.proxies.indexOf(proxy)] as string;
}

function nameOf(zone: Zone, proxy: FaultProxy): string {
  return `${zone.name}-m${zone.proxies.indexOf(proxy)}`;
}

async function operate(scene: Scene, { kind, which }: Step): Promise<void> {
  const { gateway } = scene;
  const registrar = scene.registrarAt(which);
  scene.ledger.note("fault", `${kind} ${registrar.name}`);
  const { mine, key } = registrar;
  try {
    switch (kind) {
      case "revoke-lease":
        scene.operated.add(key);
        if (mine) await gateway.revoke(mine.lease);
        break;
      case "delete-key":
        scene.operated.add(key);
        await gateway.delete(key);
        break;
      case "overwrite-key": {
        scene.operated.add(key);
        const lease = await gateway.grant(FOREIGN_TTL_SECONDS);
        scene.foreign.add(lease);
        await gateway.put(key, "10.9.9.9:9", lease);
        break;
      }
      case "burst":
        for (let left = BURST; left > 0; left -= 1) await scene.traffic.write();
        break;
      case "bad-values":
        for (const value of ["", "no address", "{", '{"address":7}', "10.0.0.1:70000"]) {
          await gateway.put(`${key.slice(0, key.lastIndexOf("/"))}/t${Math.floor(which * 12)}`, value);
        }
        break;
      default:
    }
  } catch {
    // etcd cannot be reached, or there is no such lease any more.
  }
}

async function hitRegistrar(scene: Scene, { kind, which, forMs }: Step): Promise<void> {
  const registrar = scene.registrarAt(which);
  const anew = (): Registrar => scene.register(registrar.zone, registrar.wish);
  scene.ledger.note("fault", `${kind} ${registrar.name}, ${forMs} ms`);
  switch (kind) {
    case "crash":
      await registrar.crash();
      await pause(scene, forMs);
      anew();
      break;
    case "restart-registrar":
      await registrar.close();
      await pause(scene, forMs);
      anew();
      break;
    case "roll-registrar": {
      const next = anew();
      await eventually(() => next.state.status === "registered", { timeoutMs: forMs + 2_000 }).catch(
        () => {},
      );
      await registrar.close();
      break;
    }
    default:
  }
}

function pause(scene: Scene, ms: number): Promise<void> {
  return sleep(scene.clock, ms);
}
