import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { invalidArgument } from "@sd/core";
import { eventually } from "../check/eventually.js";
import type { EtcdAuth } from "./auth.js";
import { EtcdProcess } from "./etcd-process.js";
import { checkOptions, type EtcdProcessOptions } from "./etcd-process-options.js";
import { findLeader } from "./find-leader.js";
import { PeerNetwork } from "./peer-network.js";
import { type ReservedPort, reservePorts } from "./ports.js";
import type { RestoreOptions } from "./snapshot-tool.js";

export interface EtcdClusterOptions extends Omit<EtcdProcessOptions, "port"> {
  /** How many members. Default 3. */
  readonly members?: number;
}

/** etcd elects in one to three seconds; and it removes no member in its first five. */
const PATIENCE_MS = 15_000;

/** By then members have noticed that one has ended, by its connections. */
const MEMBER_LOSS_MS = 300;

/**
 * A real etcd cluster on loopback ports. Each member is an `EtcdProcess`: `member.kill()`, `member.freeze()`.
 *
 * What members send each other passes through this process, so that it can be cut; a test that blocks its event
 * loop for a second has them elect a new leader. It serves when `start()` and `restart()` resolve. Close it:
 * all is cleaned up, as for an `EtcdProcess`. For Linux and macOS.
 */
export class EtcdCluster implements AsyncDisposable {
  readonly #peers: readonly EtcdProcess[];
  readonly #network: PeerNetwork;
  readonly #ports: readonly ReservedPort[];
  readonly #removed = new Set<EtcdProcess>();
  #closed: Promise<void> | undefined;

  private constructor(peers: readonly EtcdProcess[], network: PeerNetwork, ports: readonly ReservedPort[]) {
    this.#peers = peers;
    this.#network = network;
    this.#ports = ports;
  }

  /**
   * Starts all members at once and waits until each of them serves.
   *
   * @throws SdError `SD_INVALID_ARGUMENT`
   * @throws Error with etcd's log if one does not, or one that tells how to get an etcd if there is none.
   */
  static async start(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
    checkOptions(options);
    const { members = 3 } = options;
    if (!Number.isInteger(members) || members < 1) {
      throw invalidArgument("members", "a whole number of at least 1", members);
    }
    const ports = await reservePorts(members);
    const peers: EtcdProcess[] = [];
    const network = await PeerNetwork.start(
      ports.map(({ port }, index) => ({ port, pid: () => peers[index]?.pid })),
    );
    const cluster = new EtcdCluster(peers, network, ports);
    try {
      for (const membership of memberships(ports, network)) {
        peers.push(await EtcdProcess.createMember(options, membership));
      }
      await cluster.restart();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** In the order of their names `m0`, `m1`, …; without those that were removed. */
  get members(): readonly EtcdProcess[] {
    return this.#peers.filter((member) => !this.#removed.has(member));
  }

  /** Of all members, for a client. */
  get endpoints(): readonly string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  /**
   * The member that most members follow, and can hear. Waits for one.
   *
   * @throws Error if there is none within 15 seconds.
   */
  leader(): Promise<EtcdProcess> {
    const hears = (member: EtcdProcess, leader: EtcdProcess): boolean =>
      !this.#network.isCut(this.#peers.indexOf(leader), this.#peers.indexOf(member));
    return eventually(() => findLeader(this.members, hears), { timeoutMs: PATIENCE_MS, everyMs: 50 });
  }

  /** Has the leader hand over to another member, by default to any, and resolves once most follow that one. */
  async moveLeader(to?: EtcdProcess): Promise<EtcdProcess> {
    const from = await this.leader();
    const target = to ?? this.members.find((member) => member !== from && member.isRunning);
    if (!target) throw new Error(`no other member runs that could lead instead of ${from.name}`);
    this.#check(target);
    if (target === from) return target;
    const { memberId } = await target.status();
    await from.ctl("move-leader", memberId.toString(16));
    await eventually(async () => (await this.leader()) === target, { timeoutMs: PATIENCE_MS });
    return target;
  }

  /**
   * Removes a member from the cluster for good, whatever state it is in, and waits until its process has ended.
   *
   * etcd refuses until all members have been connected for five seconds, or if too few would be left; that is
   * tried for 15 seconds.
   */
  async remove(member: EtcdProcess): Promise<void> {
    this.#check(member);
    const other = this.members.find((each) => each !== member && each.isRunning);
    if (!other) throw new Error(`no other member runs that could remove ${member.name}`);
    const list = await other.ctl("member", "list");
    const id = list
      .split("\n")
      .find((line) => line.split(", ")[2] === member.name)
      ?.split(",")[0];
    if (id === undefined) throw new Error(`no ${member.name} among the members:\n${list}`);
    await eventually(() => other.ctl("member", "remove", id), { timeoutMs: PATIENCE_MS, everyMs: 500 });
    this.#removed.add(member);
    // It ends by itself if it hears of it.
    await eventually(() => !member.isRunning, { timeoutMs: 2_000 }).catch(() => {});
    await member.kill();
  }

  /**
   * Loses all that members of different groups send each other, until `heal()`. A member in no group is cut off
   * from all. Cuts add up.
   */
  partition(...groups: readonly (readonly EtcdProcess[])[]): void {
    for (const member of groups.flat()) this.#check(member);
    const groupOf = (member: EtcdProcess): unknown =>
      groups.find((group) => group.includes(member)) ?? member;
    for (const from of this.members) {
      for (const to of this.members) if (groupOf(from) !== groupOf(to)) this.cut(from, to);
    }
  }

  /** Cuts a member off from all others. */
  isolate(member: EtcdProcess): void {
    this.partition(
      [member],
      this.members.filter((each) => each !== member),
    );
  }

  /**
   * Loses all that one member sends to another, not what comes back, until `heal()`. Connections between the two
   * that are not up yet do not come up.
   */
  cut(from: EtcdProcess, to: EtcdProcess): void {
    this.#check(from);
    this.#check(to);
    this.#network.cut(this.#peers.indexOf(from), this.#peers.indexOf(to));
  }

  /** Ends all partitions and cuts. */
  heal(): void {
    this.#network.heal();
  }

  /** Ends all members, one by one, so that each leader can hand over. */
  async stop(): Promise<void> {
    for (const member of this.members.filter(({ isRunning }) => isRunning)) {
      await member.stop();
      // To a member that has just ended it would hand over in vain, for seconds.
      await pause(MEMBER_LOSS_MS);
    }
  }

  /** Kills all members. */
  async kill(): Promise<void> {
    await this.#each((member) => member.kill());
  }

  /** Starts all members again, with their ports and data, after `stop()` of those that run. */
  async restart(): Promise<void> {
    await this.stop();
    await this.#each((member) => member.restart());
  }

  /** Removes all data. @throws Error unless all are down. */
  async wipe(): Promise<void> {
    await this.#each((member) => member.wipe());
  }

  /** All data, as its leader has them: see `restore()`. */
  async snapshot(): Promise<Uint8Array> {
    return (await this.leader()).snapshot();
  }

  /** Replaces the data of all members: see `EtcdProcess.restore()`. @throws Error unless all are down. */
  async restore(snapshot: Uint8Array, options: RestoreOptions = {}): Promise<void> {
    await this.#each((member) => member.restore(snapshot, options));
  }

  /** Switches authentication on: see `EtcdProcess.enableAuth()`. */
  async enableAuth(auth: EtcdAuth): Promise<void> {
    await (await this.leader()).enableAuth(auth);
  }

  /** Switches authentication off, and removes all users and roles. */
  async disableAuth(): Promise<void> {
    await (await this.leader()).disableAuth();
  }

  /** Kills all members and removes their data. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const outcomes = await Promise.allSettled(this.#peers.map((member) => member.close()));
    await this.#network[Symbol.asyncDispose]();
    for (const port of this.#ports) port[Symbol.dispose]();
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  /** Does it to all members at once. All have ended what they do, well or not, when it resolves or rejects. */
  async #each(work: (member: EtcdProcess) => Promise<void>): Promise<void> {
    const outcomes = await Promise.allSettled(this.members.map(work));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  #check(member: EtcdProcess): void {
    if (!this.members.includes(member)) throw new Error(`${member.name} is no member of this cluster`);
  }
}

/** What each member is told of itself and of the others. */
function memberships(ports: readonly ReservedPort[], network: PeerNetwork) {
  const urls = ports.map((_, index) => network.url(index));
  const shared = {
    initialCluster: urls.map((url, index) => `m${index}=${url}`).join(","),
    token: randomUUID(),
    access: { user: undefined },
  };
  return ports.map(({ port }, index) => ({
    ...shared,
    name: `m${index}`,
    peerUrl: `http://127.0.0.1:${port}`,
    advertisedPeerUrl: urls[index] as string,
  }));
}
