import {
  type Clock,
  type EtcdTransport,
  invalidArgument,
  type KeyValue,
  type LeaseId,
  type RangeRequest,
  type RangeResponse,
  SdError,
  type WatchEvent,
} from "@sd/core";
import { requireWhole } from "../check/arguments.js";
import { AlarmAction, AlarmType } from "./api/cluster.js";
import { EMPTY, type RequestOp } from "./api/kv.js";
import { MemoryAuth } from "./auth/memory-auth.js";
import { AuthenticatedTransport, type Credentials } from "./authenticated-transport.js";
import type { Behaviour } from "./behaviour.js";
import type { AnswerVerb, Call, RequestVerb, Verb } from "./calls.js";
import { HeldMessages } from "./held-messages.js";
import { keyText, toBytes } from "./keys.js";
import { MemoryServer } from "./memory-server.js";
import type { MemoryServerOptions } from "./memory-server-options.js";
import { MemoryTransport } from "./memory-transport.js";
import { Network } from "./network.js";
import { toRange } from "./port.js";
import { sessionOf } from "./session.js";

/** How a `MemoryEtcd` differs from the default. */
export type MemoryEtcdOptions = MemoryServerOptions;

/** How a client in this process differs from the default. */
export interface TransportOptions {
  readonly clock?: Clock | undefined;
  /** Who it is. Default: nobody, which is enough while authentication is off. */
  readonly auth?: Credentials | undefined;
}

/** What a door to a store works on. */
export interface DoorHost {
  readonly isClosed: boolean;
  readonly server: MemoryServer;
  readonly network: Network;
  readonly held: HeldMessages;
  /** The open streams of all clients. */
  readonly streams: Set<object>;
  /** The doors that are open besides the port; closed with the store. */
  readonly doors: Set<Door>;
}

/** A way to the store that other processes can take. */
export interface Door {
  close(): Promise<void>;
}

/** For the doors of this package. */
export let hostOf: (etcd: MemoryEtcd) => DoorHost;

/**
 * One etcd member in memory, behind the port `EtcdTransport`, on a clock that the test moves.
 *
 * Revisions, leases, transactions, watches and errors are as etcd's; what is left out is what the port cannot
 * ask for. Answers come in microtasks in the order of the requests; a lease ends when its TTL has passed on
 * the clock; a watch that starts in the past catches up by timers. One seed, one run. Close it, or the timers
 * of its leases stay.
 *
 * The methods that write (`put`, `delete`, ...) are another client's doing: they take effect at once, also
 * while it is frozen or refusing; who watches hears of it later.
 */
export class MemoryEtcd {
  static {
    hostOf = (etcd) => {
      if (typeof etcd !== "object" || etcd === null || !(#server in etcd)) {
        throw invalidArgument("memory", "a MemoryEtcd of the same copy of @sd/testing", etcd);
      }
      return {
        isClosed: etcd.#closed !== undefined,
        server: etcd.#server,
        network: etcd.#network,
        held: etcd.#held,
        streams: etcd.#streams,
        doors: etcd.#doors,
      };
    };
  }

  readonly #server: MemoryServer;
  readonly #network = new Network();
  readonly #held = new HeldMessages();
  readonly #streams = new Set<object>();
  readonly #calls: Call[] = [];
  readonly #transports: EtcdTransport[] = [];
  readonly #doors = new Set<Door>();
  #closed: Promise<void> | undefined;
  /** Users and roles, and whether clients must say who they are; at first they need not. */
  readonly auth: MemoryAuth;

  constructor(options: MemoryEtcdOptions = {}) {
    this.#server = new MemoryServer(options);
    this.auth = new MemoryAuth(this.#server.auth, this.#server.guard);
  }

  /**
   * A new client of this store. Its timeouts run on `clock`, by default the store's. With `auth` it authenticates
   * when it has to, as the adapter to a real etcd does.
   *
   * @throws SdError `SD_CLOSED`
   */
  transport({ clock = this.#server.clock, auth }: TransportOptions = {}): EtcdTransport {
    if (this.#closed) throw new SdError("SD_CLOSED", "this MemoryEtcd is closed");
    const client = this.#transports.length + 1;
    const open = (token: string | undefined): MemoryTransport =>
      new MemoryTransport(
        {
          server: sessionOf(this.#server, { token }),
          network: this.#network,
          held: this.#held,
          streams: this.#streams,
          log: (verb, request) =>
            void this.#calls.push({ verb, request, client, at: this.#server.clock.now() }),
        },
        clock,
      );
    const transport = auth ? new AuthenticatedTransport(auth, open) : open(undefined);
    this.#transports.push(transport);
    return transport;
  }

  /**
   * All that the clients of `transport()` have asked for, refused and dropped requests included. Grows until
   * `clearCalls()`. Who comes by a port (`serveMemoryEtcd()`) is not among them: see `events` for what they did.
   */
  get calls(): readonly Call[] {
    return this.#calls;
  }

  /** The entries of `calls` with one verb. */
  callsOf<V extends Verb>(verb: V): Call<V>[] {
    return this.#calls.filter((call): call is Call<V> => call.verb === verb);
  }

  clearCalls(): void {
    this.#calls.length = 0;
  }

  /** How many streams are open, of all clients. */
  get openStreams(): number {
    return this.#streams.size;
  }

  get revision(): number {
    return this.#server.store.revision;
  }

  /**
   * Every change since the store began or was wiped, compacted ones included; with `retainedChanges`, those
   * since the last compaction.
   */
  get events(): readonly WatchEvent[] {
    return this.#server.store.log.all;
  }

  /** The leases that live. */
  get leases(): readonly LeaseId[] {
    return this.#server.leases.ids as readonly LeaseId[];
  }

  get(key: string | Uint8Array): KeyValue | undefined {
    return this.#server.get(keyText(toBytes(key)));
  }

  /** Reads as a client would, at once. */
  range(request: RangeRequest): RangeResponse {
    return this.#server.range(toRange(request));
  }

  /**
   * Writes a key, bound to `lease` if given. Returns the revision.
   *
   * @throws SdError `SD_LEASE_LOST` if there is no such lease.
   */
  put(
    key: string | Uint8Array,
    value: string | Uint8Array,
    { lease = 0n }: { readonly lease?: bigint | undefined } = {},
  ): number {
    const put = { key: toBytes(key), value: toBytes(value), lease };
    return this.#server.put({ ...put, prevKv: false, ignoreValue: false, ignoreLease: false }).header
      .revision;
  }

  /** Several writes as one revision, bound to no lease; `undefined` deletes. Returns the revision. */
  write(values: Readonly<Record<string, string | Uint8Array | undefined>>): number {
    const success = Object.entries(values).map(([name, value]): RequestOp => {
      const key = toBytes(name);
      if (value === undefined) return { deleteRange: { key, rangeEnd: EMPTY, prevKv: false } };
      const flags = { prevKv: false, ignoreValue: false, ignoreLease: false };
      return { put: { key, value: toBytes(value), lease: 0n, ...flags } };
    });
    return this.#server.txn({ compare: [], success, failure: [] }).header.revision;
  }

  /** Deletes a key, if it is there. Returns the revision. */
  delete(key: string | Uint8Array): number {
    return this.#server.deleteRange({ key: toBytes(key), rangeEnd: EMPTY, prevKv: false }).header.revision;
  }

  /** Ends a lease as if its TTL had passed. @throws SdError `SD_LEASE_LOST` if there is no such lease. */
  expireLease(id: bigint): void {
    this.#server.revoke({ id });
  }

  /** Ends a lease as an operator does. @throws SdError `SD_LEASE_LOST` if there is no such lease. */
  revokeLease(id: bigint): void {
    this.#server.revoke({ id });
  }

  /** Ends the tokens of all users, as if they had not been used for their TTL. */
  expireTokens(): void {
    this.#server.auth.tokens.endAll();
  }

  /** Forgets the history before `revision`. @throws SdError as etcd does. */
  compact(revision: number): void {
    requireWhole("revision", revision);
    this.#server.store.compact(revision);
  }

  /** Says that its disk is full: nothing can be put and no lease granted, until told otherwise. */
  setFull(isFull: boolean): void {
    const action = isFull ? AlarmAction.activate : AlarmAction.deactivate;
    const { memberId } = this.#server.header();
    this.#server.alarm({ action, memberId, alarm: AlarmType.noSpace });
  }

  /** How it answers now: the version that it is like, and its bugs. */
  get behaviour(): Behaviour {
    return this.#server.behaviour;
  }

  /** Switches bugs on and off from now on. */
  behave(changes: Partial<Behaviour>): void {
    this.#server.behave(changes);
  }

  /** Ends every stream and every waiting call with a network error. What was under way is lost, both ways. */
  cut(): void {
    this.#network.cut();
  }

  /** From now on new calls and streams fail with a network error; open streams stay. */
  refuse(): void {
    this.#network.isRefusing = true;
  }

  /** Ends `refuse()`, and `kill()` too, as if it had only been unreachable: what has run down meanwhile expires. */
  accept(): void {
    this.#network.isRefusing = false;
    if (!this.#network.isFrozen) this.#server.leases.resume();
  }

  /**
   * Stops answering, as by SIGSTOP: requests and streams are accepted, and nothing comes back. Nothing
   * expires.
   */
  freeze(): void {
    this.#network.freeze();
    this.#server.leases.pause();
  }

  /**
   * Ends `freeze()`: what has run down expires, then what was asked meanwhile is done and answered in order.
   * That includes calls whose clients have given up.
   */
  thaw(): void {
    if (!this.#network.isFrozen) return;
    this.#server.leases.resume();
    this.#network.thaw();
  }

  /** Dies at once: `cut()` and `refuse()`; nothing expires until `restart()`. */
  kill(): void {
    this.cut();
    this.refuse();
    this.#network.thaw();
    this.#server.leases.pause();
  }

  /** Comes back with its data after `kill()`: every lease has its full TTL again, as after an election. */
  restart(): void {
    this.#server.restart();
    this.accept();
  }

  /**
   * Loses its data: cuts everything and begins again at revision 1.
   *
   * The ids of cluster and member stay the same, as those of an etcd started with the same flags on an empty
   * directory; `newCluster` changes the cluster's.
   */
  wipe({ newCluster = false }: { readonly newCluster?: boolean } = {}): void {
    this.cut();
    this.#server.wipe(newCluster);
  }

  /**
   * Fails the next request of this kind before it reaches etcd. A dropped renewal is only not answered.
   *
   * Other clients' puts and deletes count as `txn`.
   */
  dropNextRequest(verb: RequestVerb): void {
    this.#network.dropNext(verb);
  }

  /** Does what the next request of this kind asks, but fails it. A lost renewal is only not answered. */
  loseNextAnswer(verb: AnswerVerb): void {
    this.#network.loseNext(verb);
  }

  /** Holds back watch messages that carry events, and what follows them on their stream. */
  holdWatchEvents(): void {
    this.#held.hold();
  }

  /** How many watch messages are held back. */
  get heldWatchMessages(): number {
    return this.#held.size;
  }

  /** Lets the next `count` held messages go, oldest first; without `count` all, and holds no more. */
  releaseWatchEvents(count?: number): void {
    this.#held.release(count);
  }

  /** Closes all its transports and servers, and stops the timers of its leases. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#transports, ...this.#doors].map((each) => each.close()));
    this.#server.leases.clear();
  }
}
