import { createClient, type EtcdClient, instanceKey, type KeyValue, type LeaseId } from "@sd/core";
import { leaseId, ManualClock, MemoryEtcd, SeededRandom } from "@sd/testing";
import { DiscoverySubject, type Target } from "./discovery-subject.js";
import { Disk } from "./disk.js";
import { Grants } from "./grants.js";
import { History, keyOf, type Recorded } from "./history.js";
import { Link } from "./link.js";
import { type Plan, PROCESSES } from "./plan.js";
import { Process } from "./process.js";
import { Record } from "./record.js";
import { RegistrationSubject, startAll, type Wish } from "./registration-subject.js";
import { RequestCheck } from "./request-check.js";
import { WorldClock } from "./world-clock.js";

/** A process with its client, and what lives on it. */
export interface Unit {
  readonly slot: number;
  readonly process: Process;
  readonly link: Link;
  readonly client: EtcdClient;
  readonly check: RequestCheck;
}

/** So many processes may have been started in one run. */
const MAX_UNITS = 16;
/** So many are registered together, if they are: enough to be watched together. */
const GROUP = 16;
/** Revisions that there are before anything begins: after a wipe the store's stays below. */
const FIRST_REVISIONS = 300;

/** All that there is in one run: one store, its clients, and what is known of them. */
export class World {
  readonly manual = new ManualClock();
  readonly clock = new WorldClock(this.manual);
  readonly record = new Record(this.clock);
  readonly memory: MemoryEtcd;
  readonly history: History;
  readonly units: Unit[] = [];
  readonly registrations: RegistrationSubject[] = [];
  readonly discoveries: DiscoverySubject[] = [];
  /** Of every slot but the first. */
  readonly #disks = new Map<number, Disk>();
  readonly random: SeededRandom;
  readonly #isSilent: boolean;
  readonly #isContest: boolean;
  readonly #isGrouped: boolean;
  /** By lease and key. */
  readonly #ownerOf = new Map<string, RegistrationSubject>();
  /** Leases that somebody ended on purpose. */
  readonly #ended = new Set<bigint>();
  /** Leases whose TTL has passed in this moment. */
  #expired: bigint[] = [];
  /** What was deleted in this moment under a lease that lives. */
  #suspected: { readonly key: string; readonly lease: bigint }[] = [];
  #isOperating = false;
  readonly #grants = new Grants();

  constructor({ seed, catchUpDelayMs, missingLeaseTtl, isSilent, isContest, isGrouped }: Plan) {
    this.#isSilent = isSilent;
    this.#isContest = isContest;
    this.#isGrouped = isGrouped;
    this.random = new SeededRandom(seed ^ 0x5eed);
    this.memory = new MemoryEtcd({ clock: this.clock, catchUpDelayMs, behaviour: { missingLeaseTtl } });
    for (let index = 1; index < FIRST_REVISIONS; index += 1) this.memory.put("/other", `${index}`);
    this.history = new History(this.memory, this.clock, (event) => this.#judge(event));
    this.clock.onMove = () => this.#moveOn();
    for (let slot = 1; slot < PROCESSES; slot += 1) {
      const random = new SeededRandom(seed * 13 + slot);
      const onFault = (name: string): void => this.record.totals.fault(name);
      this.#disks.set(slot, new Disk({ world: this.clock, random, onFault }));
    }
    for (let slot = 0; slot < PROCESSES; slot += 1) this.start(slot);
  }

  /** The newest process of a slot. */
  unit(slot: number): Unit {
    return this.units.filter((each) => each.slot === slot).at(-1) as Unit;
  }

  start(slot: number): Unit | undefined {
    if (this.units.length >= MAX_UNITS) return undefined;
    const { clock, memory, record, random } = this;
    const number = this.units.length;
    const process = new Process(`p${number}`, clock);
    const check = new RequestCheck(process.name, record, (key, lease) => this.#wants(process, key, lease));
    const link = new Link({
      inner: this.#grants.note(memory.transport()),
      process,
      world: clock,
      random: new SeededRandom(random.seed * 31 + number),
      onRequest: (request) => {
        if (request.verb === "revoke") this.#ended.add(request.request.id);
        return check.see(request);
      },
      onFault: (name) => record.totals.fault(name),
    });
    const chance = new SeededRandom(random.seed * 17 + number);
    const client = createClient({ transport: link, clock: process, random: chance });
    const unit: Unit = { slot, process, link, client, check };
    this.units.push(unit);
    return unit;
  }

  register({ process, client }: Unit, wish: Wish): void {
    if (process.status === "dead" || client.isClosed) return;
    const isWanted = ({ service, id }: Wish): boolean =>
      this.registrations.some(
        (each) => each.process === process && each.key === instanceKey(service, id) && each.isWanted,
      );
    const wishes = this.#isGrouped ? groupOf(wish).filter((each) => !isWanted(each)) : [wish];
    const hasOne = isWanted(wish);
    startAll(client, wishes).forEach((registration, index) => {
      const name = `${process.name}/r${this.registrations.length}`;
      const own = wishes[index] ?? wish;
      const subject = new RegistrationSubject(name, process, registration, own, this.history, this.record);
      if (hasOne && !this.#isGrouped) void registration.close();
      else this.registrations.push(subject);
    });
  }

  discover({ slot, process, client }: Unit, target: Target): void {
    if (process.status === "dead" || client.isClosed) return;
    const name = `${process.name}/d${this.discoveries.length}`;
    const subject = new DiscoverySubject(name, process, client, target, {
      ...{ history: this.history, record: this.record, disk: this.#disks.get(slot) },
    });
    subject.isInDoubt = this.#isSilent;
    this.discoveries.push(subject);
  }

  /** The process is gone from one moment to the next. */
  crash({ process, link, client }: Unit): void {
    process.kill();
    link.sever();
    // It cannot send any more: this only frees what it holds in ours.
    client.close().catch(() => {});
  }

  /** Does what an operator does: what happens to the store meanwhile is nobody else's doing. */
  operate(work: () => void): void {
    this.history.sync();
    this.#isOperating = true;
    try {
      work();
    } catch {
      // etcd refuses: compacted already, no space, or no such lease.
    } finally {
      this.history.sync();
      this.#isOperating = false;
    }
  }

  endLease(id: bigint): void {
    this.#ended.add(id);
    this.operate(() => this.memory.revokeLease(id));
  }

  wipe(newCluster: boolean): void {
    this.history.sync();
    for (const lease of this.memory.leases) this.#ended.add(lease);
    this.memory.wipe({ newCluster });
    this.history.begin();
  }

  /** The registration that writes under this entry's lease. */
  ownerOf(kv: KeyValue): RegistrationSubject | undefined {
    return this.#ownerOf.get(`${kv.lease} ${keyOf(kv.key)}`);
  }

  /** Whether etcd has ended the lease once. */
  hasEnded(lease: bigint): boolean {
    return this.#ended.has(lease);
  }

  #wants(process: Process, key: string, lease: LeaseId): void {
    if (this.#ownerOf.has(`${lease} ${key}`)) return;
    const candidates = this.registrations.filter((each) => each.process === process && each.key === key);
    const subject = candidates.filter((each) => each.isWanted).at(-1) ?? candidates.at(-1);
    if (!subject) return;
    subject.leases.add(lease);
    this.#ownerOf.set(`${lease} ${key}`, subject);
  }

  /** What has happened to the store, and who may have done it. */
  #judge(event: Recorded): void {
    const { type, kv, key, previous } = event;
    this.record.note("etcd", `${type} ${key}@${kv.modRevision}`);
    if (type === "put") {
      this.ownerOf(kv)?.wrote(event, this);
      return;
    }
    const lease = previous?.lease ?? 0n;
    if (this.#isOperating || lease === 0n) return;
    if (this.#isAlive(lease) && !this.hasEnded(lease)) {
      // One of a group that is closed, or has failed, takes its key from under the lease of the others.
      if (this.#isGrouped && previous && this.ownerOf(previous)?.mayLeave) return;
      this.#suspected.push({ key, lease });
    } else if (!this.hasEnded(lease)) this.#expired.push(lease);
  }

  /** Nobody says that it has a key while another says so (F26). */
  #checkClaims(): void {
    const claims = this.registrations.filter(
      ({ isWanted, process, state }) => isWanted && process.isUpToDate && state.status === "registered",
    );
    const names = claims.map(({ name }) => name);
    if (claims.length > 1) this.record.blame("R10", names[0] ?? "-", `${names.join(" and ")} claim one key`);
  }

  #moveOn(): void {
    this.history.sync();
    for (const { key, lease } of this.#suspected.splice(0)) {
      // It had expired, and has been granted once more.
      if (this.#grants.mayBeAgain(lease)) this.#ended.add(lease);
      else this.record.blame("R3", "etcd", `${key} was deleted, though its lease lives`);
    }
    // In the end of the moment: the owner's own timer may be due in it too.
    for (const lease of this.#expired.splice(0)) {
      if (this.#isAlive(lease)) continue;
      this.#ended.add(lease);
      for (const each of this.registrations) if (each.leases.has(lease)) each.expired(lease);
    }
    this.#grants.moveOn();
    if (this.#isContest) this.#checkClaims();
  }

  #isAlive(lease: bigint): boolean {
    return this.memory.leases.includes(leaseId(lease));
  }
}

/** The first of a respawned group brings the others along. */
function groupOf(wish: Wish): Wish[] {
  const [id] = wish.id.split(".");
  return Array.from({ length: GROUP }, (_, index) => ({
    ...wish,
    id: index === 0 ? `${id}` : `${id}.${index}`,
  }));
}
