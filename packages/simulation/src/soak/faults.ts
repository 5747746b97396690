import { sleep } from "@sd/core";
import { type EtcdProcess, eventually, type FaultProxy } from "@sd/testing";
import type { Step } from "./plan.js";
import type { Registrar } from "./registrar.js";
import type { Zone } from "./site.js";
import type { Soak } from "./soak.js";

const FOREIGN_TTL_SECONDS = 3;
const BURST = 150;

/** Makes a fault, and ends it when its time is over. Faults of the cluster wait for each other. */
export async function commit(soak: Soak, step: Step): Promise<void> {
  const { kind, forMs } = step;
  soak.ledger.totals.fault(kind);
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
      return soak.oneByOne(() => hitCluster(soak, step));
    case "revoke-lease":
    case "delete-key":
    case "overwrite-key":
    case "burst":
    case "bad-values":
      return operate(soak, step);
    case "crash":
    case "restart-registrar":
    case "roll-registrar":
      return hitRegistrar(soak, step);
    case "restart-discoverer":
      soak.ledger.note("fault", `${kind} ${step.which.toFixed(2)}`);
      return soak.renewFollower(step.which, forMs);
    default:
      return hitNetwork(soak, step);
  }
}

async function hitCluster(soak: Soak, { kind, forMs, member: number }: Step): Promise<void> {
  const { cluster } = soak.site;
  const { members } = cluster;
  const isLeader = kind.endsWith("-leader") && kind !== "move-leader";
  const member = isLeader ? await cluster.leader() : (members[number % members.length] as EtcdProcess);
  soak.ledger.note("fault", `${kind} ${member.name} for ${forMs} ms`);
  switch (kind) {
    case "kill":
    case "kill-leader":
      await member.kill();
      await pause(soak, forMs);
      await member.restart();
      break;
    case "freeze":
    case "freeze-leader":
      await member.freeze();
      await pause(soak, forMs);
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
      await pause(soak, forMs);
      cluster.heal();
      break;
    case "freeze-all":
      await Promise.all(members.map((each) => each.freeze()));
      await pause(soak, forMs);
      await Promise.all(members.map((each) => each.thaw()));
      break;
    case "kill-all":
    case "lose-majority": {
      const lost = members.filter((each) => kind === "kill-all" || each !== member);
      await Promise.all(lost.map((each) => each.kill()));
      await pause(soak, forMs);
      await Promise.all(lost.map((each) => each.restart()));
      break;
    }
    default:
  }
  soak.ledger.note("fault", `${kind} ${member.name} is over`);
}

async function hitNetwork(soak: Soak, step: Step): Promise<void> {
  const { kind, forMs, which } = step;
  const zone = soak.site.zones[step.zone];
  if (!zone) return;
  const proxies = proxiesOf(soak, zone, step);
  const names = kind.endsWith("-everywhere") ? "" : proxies.map((each) => nameOf(zone, each)).join(" ");
  soak.ledger.note("fault", `${kind} ${names} for ${forMs} ms`);
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
        soak.expectReplaced(proxy.endpoint, soak.ledger.halfOpen, forMs);
        break;
      case "black-hole-both":
        proxy.blackhole("both");
        soak.expectReplaced(proxy.endpoint, soak.ledger.halfOpen, forMs);
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
        soak.expectReplaced(proxy.endpoint, soak.ledger.tarpit, forMs);
        proxy.reset();
        break;
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
  await pause(soak, forMs);
  for (const proxy of proxies) {
    // What was lost stays lost: no network goes on after such a gap.
    if (kind.startsWith("black-hole") || kind === "half-close") proxy.reset();
    proxy.pass();
  }
  soak.ledger.note("fault", `${kind} ${names} is over`);
}

function proxiesOf(soak: Soak, zone: Zone, { kind, member, which }: Step): readonly FaultProxy[] {
  if (kind.endsWith("-everywhere")) return soak.site.zones.flatMap(({ proxies }) => proxies);
  if (kind.endsWith("-all")) return zone.proxies;
  // One that leads a watch of a discovery, if there is any: else it would often hit nobody.
  const endpoints = soak.followers
    .filter(({ party }) => party.zone === zone)
    .map(({ party }) => party.watchEndpoint);
  const inUse = zone.proxies.filter(({ endpoint }) => endpoints.includes(endpoint));
  return [
    (inUse[Math.floor(which * inUse.length)] ?? zone.proxies[member % zone.proxies.length]) as FaultProxy,
  ];
}

function nameOf(zone: Zone, proxy: FaultProxy): string {
  return `${zone.name}-m${zone.proxies.indexOf(proxy)}`;
}

async function operate(soak: Soak, { kind, which }: Step): Promise<void> {
  const { gateway } = soak;
  const registrar = soak.registrarAt(which);
  soak.ledger.note("fault", `${kind} ${registrar.name}`);
  const { mine, key } = registrar;
  try {
    switch (kind) {
      case "revoke-lease":
        soak.operated.add(key);
        if (mine) await gateway.revoke(mine.lease);
        break;
      case "delete-key":
        soak.operated.add(key);
        await gateway.delete(key);
        break;
      case "overwrite-key": {
        soak.operated.add(key);
        const lease = await gateway.grant(FOREIGN_TTL_SECONDS);
        soak.foreign.add(lease);
        await gateway.put(key, "10.9.9.9:9", lease);
        break;
      }
      case "burst":
        for (let left = BURST; left > 0; left -= 1) await soak.traffic.write();
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

async function hitRegistrar(soak: Soak, { kind, which, forMs }: Step): Promise<void> {
  const registrar = soak.registrarAt(which);
  const anew = (): Registrar => soak.register(registrar.zone, registrar.wish);
  soak.ledger.note("fault", `${kind} ${registrar.name}, ${forMs} ms`);
  switch (kind) {
    case "crash":
      await registrar.crash();
      await pause(soak, forMs);
      anew();
      break;
    case "restart-registrar":
      await registrar.close();
      await pause(soak, forMs);
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

function pause(soak: Soak, ms: number): Promise<void> {
  return sleep(soak.clock, ms);
}
