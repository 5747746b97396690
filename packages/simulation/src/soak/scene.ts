import { type Clock, sleep } from "@sd/core";
import { SeededRandom } from "@sd/testing";
import type { Recorded } from "../history.js";
import type { User } from "./access.js";
import { Follower } from "./follower.js";
import { Gateway } from "./gateway.js";
import type { Latency } from "./latency.js";
import type { Ledger } from "./ledger.js";
import { Oracle } from "./oracle.js";
import type { Credentials } from "./party.js";
import { Registrar, type Wish } from "./registrar.js";
import { SERVICES, type Site, ZONES, type Zone } from "./site.js";
import { Traffic } from "./traffic.js";

const REGISTRARS = 50;
const FOLLOWERS = 10;
/** Of ten registrars and of ten discoverers one is a guest. */
const GUEST = 10;
/** All of the prefixes begin so, and nothing else does. */
export const ROOT = "/soak-";
const SAMPLE_EVERY_MS = 250;
/** History that is older is needed by nobody who keeps up. */
const KEPT_MS = 60_000;

/** Everybody who takes part in a soak, and who may have done what. */
export class Scene {
  readonly site: Site;
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly gateway: Gateway;
  readonly oracle: Oracle;
  readonly traffic: Traffic;
  registrars: Registrar[] = [];
  followers: Follower[] = [];
  /** Keys that an operator has touched in this storm. */
  readonly operated = new Set<string>();
  /** Guests were refused what they asked for in this storm: they ask again, but not soon. */
  hasRefused = false;
  /** Leases under which an operator has overwritten keys. */
  readonly foreign = new Set<bigint>();
  readonly random: SeededRandom;
  readonly #owners = new Map<bigint, Registrar>();
  /** Those that have ended, until their keys are known to be gone. */
  ended: Registrar[] = [];
  #cluster: Promise<void> = Promise.resolve();
  /** Since the last fault that hit everybody began. */
  cutAt = 0;
  /** etcd has lost its history in this storm. */
  hasNewLife = false;
  /** How many storms there were. */
  storms = 0;
  #count = 0;
  readonly #abort = new AbortController();
  readonly #sampling: Promise<void>;

  constructor(site: Site, clock: Clock, ledger: Ledger, seed: number) {
    this.site = site;
    this.clock = clock;
    this.ledger = ledger;
    this.random = new SeededRandom(seed);
    const gateway = (): Gateway => new Gateway(site.cluster.endpoints, site.access?.gateway);
    this.gateway = gateway();
    this.oracle = new Oracle(gateway(), clock, ledger, (event) => this.#judge(event));
    const chance = new SeededRandom(seed ^ 0x5eed);
    this.traffic = new Traffic(this.gateway, this.oracle, clock, chance, SERVICES);
    for (let index = 0; index < REGISTRARS; index += 1) {
      const service = SERVICES[index % SERVICES.length] as string;
      const isGuest = index % GUEST === GUEST - 1;
      const wish = { service, id: `r${index}`, address: `10.1.0.${index}:80`, isGuest };
      this.register(this.#zone(index), wish);
    }
    for (let index = 0; index < FOLLOWERS; index += 1) this.#follow(index);
    this.#sampling = this.#watchOver();
  }

  register(zone: Zone, wish: Wish): Registrar {
    this.#count += 1;
    const credentials = this.#credentials(wish.isGuest ? "guest" : "registrar");
    const registrar = new Registrar(`r${this.#count}`, zone, wish, credentials, this.oracle, this.ledger);
    this.registrars.push(registrar);
    return registrar;
  }

  /** One of those that want their key. */
  registrarAt(part: number): Registrar {
    const wanting = this.registrars.filter(({ isWanted }) => isWanted);
    return wanting[Math.floor(part * wanting.length)] as Registrar;
  }

  async renewFollower(part: number, afterMs: number): Promise<void> {
    const index = Math.floor(part * this.followers.length);
    const old = this.followers[index];
    if (!old || old.isClosed) return;
    await old.close();
    await sleep(this.clock, afterMs);
    this.#follow(index);
  }

  /** Works on the cluster, one after the other. */
  oneByOne(work: () => Promise<void>): Promise<void> {
    this.#cluster = this.#cluster.then(work);
    return this.#cluster;
  }

  /** Measures how long it takes until those who watch through `endpoint` have another stream. */
  expectReplaced(endpoint: string, latency: Latency, withinMs: number): void {
    const since = this.ledger.now;
    for (const { party } of [...this.followers, ...this.registrars]) {
      if (party.watchEndpoint !== endpoint) continue;
      party.onWatch = () => {
        party.onWatch = () => {};
        const tookMs = this.ledger.now - since;
        // Later it may have been the end of the fault.
        if (tookMs < withinMs) latency.add(tookMs);
      };
    }
  }

  /** Nobody writes any more but those who take part, and nobody is looked at. */
  async quiet(): Promise<void> {
    this.#abort.abort();
    await this.#sampling;
    await this.traffic.close();
  }

  #zone(index: number): Zone {
    return this.site.zones[index % ZONES] as Zone;
  }

  #follow(index: number): void {
    this.#count += 1;
    const service = SERVICES[index % SERVICES.length] as string;
    // Of both services half are looked at key by key.
    const isService = index % 4 < 2;
    const isGuest = index % GUEST === GUEST - 1;
    const zone = this.#zone(Math.floor(index / 2));
    const credentials = this.#credentials(isGuest ? "guest" : "discoverer");
    const aim = { zone, service, isService, isGuest, credentials };
    this.followers[index] = new Follower(`d${this.#count}`, aim, this.oracle, this.ledger);
  }

  #credentials(user: User): Credentials {
    return this.site.access?.clientOptions(user) ?? {};
  }

  /** How many connections there are between clients and members. */
  get connections(): number {
    const proxies = this.site.zones.flatMap((zone) => zone.proxies);
    return proxies.reduce((sum, { connections }) => sum + connections, 0);
  }

  /**
   * At most so many, while all is at rest: a client has one for calls, one for watches and, if it registers, one for
   * renewals to each member, and keeps those to members that it has left.
   */
  get mostConnections(): number {
    const { length } = this.site.cluster.members;
    return (3 * REGISTRARS + 2 * FOLLOWERS) * length;
  }

  /** While nothing may happen but what others write. */
  get isCalm(): boolean {
    return this.ledger.phase === "calm";
  }

  /** etcd, which is down, will be back with its history up to `fork`, or none. */
  loseHistory(fork: number): void {
    this.oracle.begin(fork);
    this.traffic.begin();
    this.hasNewLife = true;
    for (const each of this.followers) each.enterLife();
  }

  #judge(event: Recorded): void {
    const { type, kv, key, previous } = event;
    if (type === "put") {
      this.ownerOf(kv.lease)?.wrote(event);
      if (kv.lease === 0n && this.registrars.some((each) => each.key === key))
        this.ledger.blame("R4 orphan", key, `was written without a lease at ${kv.modRevision}`);
      return;
    }
    const owner = previous && this.ownerOf(previous.lease);
    if (!owner || this.operated.has(key)) return;
    if (this.ledger.now < owner.party.renewals.validUntil(previous.lease)) {
      // A leader that was frozen, for one, ends leases that another one has renewed since.
      this.ledger.endedEarly += 1;
      this.ledger.note(owner.name, `etcd has ended its lease before its time, at ${kv.modRevision}`);
      return;
    }
    owner.expired(event);
    if (this.isCalm && owner.isWanted)
      this.ledger.blame(
        "R16 not renewed",
        owner.name,
        `${key} is gone at ${kv.modRevision}, while all was calm`,
      );
  }

  /** The registration that writes under `lease`. */
  ownerOf(lease: bigint): Registrar | undefined {
    if (lease === 0n) return undefined;
    const known = this.#owners.get(lease);
    if (known) return known;
    const owner = [...this.registrars, ...this.ended].find(({ leases }) => leases.has(lease));
    if (owner) this.#owners.set(lease, owner);
    return owner;
  }

  /** Lets go of what nobody asks for any more: a soak must not grow. */
  forget(): void {
    const { oracle, ledger } = this;
    const old = oracle.life.events.filter(({ at }) => at < ledger.now - KEPT_MS).at(-1)?.kv.modRevision ?? 0;
    oracle.life.forget(Math.min(old, ...this.followers.map(({ checked }) => checked)));
    this.ended = this.registrars.filter((each) => !each.isWanted);
    this.registrars = this.registrars.filter((each) => each.isWanted);
    for (const [lease, owner] of this.#owners)
      if (!owner.isWanted && !this.ended.includes(owner)) this.#owners.delete(lease);
  }

  async #watchOver(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      for (const each of this.followers) each.sample();
      for (const each of this.registrars) each.sample();
      await sleep(this.clock, SAMPLE_EVERY_MS, signal).catch(() => {});
    }
  }
}
