import { invalidArgument, type KeyValue } from "@sd/core";
import { requireWhole } from "../check/arguments.js";
import type { EtcdProcess } from "../etcd/etcd-process.js";
import { Operator } from "../grpc/operator.js";
import type { MemoryEtcd } from "../memory/memory-etcd.js";
import type { FaultProxy } from "../proxy/fault-proxy.js";
import type { Backend } from "./backend.js";

/** How a key is written. */
export interface PutOptions {
  /** Binds it to a new lease that nobody renews: as the key of a process that dies at once. */
  readonly ttlSeconds?: number;
}

/**
 * One etcd for one test, and all that can happen to it: the same for one in memory and a real one.
 *
 * What reads and writes keys is another client's doing. It goes past the `proxy`, so no fault of the network
 * touches it; while etcd is frozen or down it fails with `SD_UNAVAILABLE` after some seconds. It has no
 * credentials: once authentication is on, write by a client of your own.
 */
export class TestEtcd implements AsyncDisposable {
  /** For `createClient({ endpoints })`, and for any other client of etcd: one address, for its whole life. */
  readonly endpoints: readonly string[];
  /** What clients connect through: black holes, delays, limits and more. `proxy.pass()` undoes them. */
  readonly proxy: FaultProxy;
  /** The version that it is, or is like: `3.5.30`. */
  readonly version: string;
  readonly #backend: Backend;
  readonly #operator: Operator;
  #closed: Promise<void> | undefined;

  /** @internal Use `startEtcd()`. */
  constructor(backend: Backend, proxy: FaultProxy) {
    this.#backend = backend;
    this.#operator = new Operator(backend.endpoint);
    this.proxy = proxy;
    this.endpoints = [proxy.endpoint];
    this.version = backend.version;
  }

  get isReal(): boolean {
    return this.#backend.process !== undefined;
  }

  /** For what only the one in memory can: known bugs, faults of single requests. @throws Error if it is real. */
  get memory(): MemoryEtcd {
    const { memory } = this.#backend;
    if (!memory) throw new Error("this etcd is a real one, not in memory");
    return memory;
  }

  /** For what only a real one has: `log()`, `ctl()`. @throws Error if it is in memory. */
  get process(): EtcdProcess {
    const { process } = this.#backend;
    if (!process) throw new Error("this etcd is in memory: start a real one by startEtcd({ real: true })");
    return process;
  }

  /** The value of a key as text, `undefined` if it is not there. */
  async get(key: string): Promise<string | undefined> {
    const kv = await this.#operator.get(key);
    return kv && Buffer.from(kv.value).toString();
  }

  /** All keys that begin so, with their values, as text. Default: all that there are. */
  async list(prefix = ""): Promise<Record<string, string>> {
    const kvs = await this.entries(prefix);
    return Object.fromEntries(kvs.map(({ key, value }) => [`${Buffer.from(key)}`, `${Buffer.from(value)}`]));
  }

  /** As `list()`, with revisions and leases, in the order of the keys. */
  entries(prefix = ""): Promise<readonly KeyValue[]> {
    return this.#operator.list(prefix);
  }

  /** The revision that the store is at. */
  revision(): Promise<number> {
    return this.#operator.revision();
  }

  /** Writes a key, without a lease unless `ttlSeconds` are given. Returns the revision. */
  async put(key: string, value: string, { ttlSeconds }: PutOptions = {}): Promise<number> {
    if (ttlSeconds !== undefined) requireWhole("ttlSeconds", ttlSeconds, 1);
    const lease = ttlSeconds === undefined ? 0n : await this.#operator.grant(ttlSeconds);
    return this.#operator.put(key, value, lease);
  }

  /** Deletes a key, if it is there. Returns the revision. */
  delete(key: string): Promise<number> {
    return this.#operator.delete(key);
  }

  /**
   * Ends a lease now, as if its TTL had passed: its keys go with it, in one revision.
   *
   * @param lease its id, or a key that is bound to it.
   * @throws SdError `SD_LEASE_LOST` if there is no such lease.
   * @throws SdError `SD_INVALID_ARGUMENT` if there is no such key, or it has no lease.
   */
  async expireLease(lease: bigint | string): Promise<void> {
    if (typeof lease !== "string" && typeof lease !== "bigint") {
      throw invalidArgument("lease", "a key or the id of a lease, a bigint", lease);
    }
    await this.#operator.revoke(typeof lease === "string" ? await this.#leaseOf(lease) : lease);
  }

  /** Forgets the history before `revision`; default: all of it. */
  async compact(revision?: number): Promise<void> {
    if (revision !== undefined) requireWhole("revision", revision);
    await this.#operator.compact(revision ?? (await this.revision()));
  }

  /** Breaks all connections. Clients may connect again at once. */
  cut(): void {
    this.proxy.reset();
  }

  /** Stops it where it is: it accepts connections and answers nothing; no lease expires. Stands when it resolves. */
  freeze(): Promise<void> {
    return this.#backend.freeze();
  }

  /** Ends `freeze()`: leases that have run out meanwhile expire. */
  thaw(): void {
    this.#backend.thaw();
  }

  /** It dies at once, and keeps its data: no client gets an answer before `restart()`. */
  async kill(): Promise<void> {
    await this.#backend.kill();
    this.cut();
  }

  /** Restarts it, if it runs or not, with its data. Every lease has its full TTL again. */
  async restart(): Promise<void> {
    await this.#backend.restart();
    this.cut();
  }

  /** Restarts it without its data: at revision 1, with the same ids. */
  async wipe(): Promise<void> {
    await this.#backend.wipe();
    this.cut();
  }

  /** Ends it, and removes its data. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#operator.close();
    await this.proxy.close();
    await this.#backend.close();
  }

  async #leaseOf(key: string): Promise<bigint> {
    const kv = await this.#operator.get(key);
    if (!kv?.lease) throw invalidArgument("the key of expireLease()", "bound to a lease", key);
    return kv.lease;
  }
}
