import { createEtcd3Transport, type Etcd3TransportOptions } from "./etcd/etcd3/etcd3-transport.js";
import { RetryBudget } from "./etcd/retry-budget.js";
import type { EtcdTransport } from "./etcd/transport.js";
import { type Clock, holdProcess, systemClock } from "./kit/clock.js";
import { once } from "./kit/deferred.js";
import { requireMethods, requireOptions, SdError } from "./kit/errors.js";
import { type Random, systemRandom } from "./kit/random.js";
import type { Schedule } from "./kit/schedule.js";
import { Leases } from "./lease/leases.js";
import { type Audit, auditSchedule } from "./watch/audit.js";
import { FirstPages } from "./watch/first-pages.js";
import { WatchHub } from "./watch/watch-hub.js";

/** Ports that a test may exchange. */
export interface ClientPorts {
  /** Default: the machine's monotonic clock. */
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

export type ClientOptions =
  | (Etcd3TransportOptions & ClientPorts)
  /** Another way to etcd than over gRPC: an in-memory one. The client closes it. */
  | (ClientPorts & { readonly transport: EtcdTransport });

/** Something that lives on a client and is closed with it. */
export interface Closeable {
  close(): Promise<unknown>;
}

/**
 * A client of one etcd cluster: all leases on one stream, all watches on one stream.
 *
 * Made by `createClient()`. Share it: any number of registrations and discoveries live on one.
 *
 * Only what is attached keeps the process alive: registrations and discoveries do so by themselves. A lease, a
 * `Reflector` or a `Watch` that is taken directly does not: during an outage, with no connection open, a
 * process that has nothing else to do ends. Attach it, or hold the process by other means.
 */
export class EtcdClient implements AsyncDisposable {
  readonly transport: EtcdTransport;
  readonly leases: Leases;
  readonly watches: WatchHub;
  /** Where lists begin, those of one turn of the event loop together. */
  readonly lists: FirstPages;
  /** When the stores of this client are to be compared with etcd. */
  readonly audits: Schedule<Audit>;
  readonly clock: Clock;
  readonly random: Random;
  /** Shared by all that tries again on this client. */
  readonly retries: RetryBudget;
  readonly #attached = new Set<Closeable>();
  #hold: Disposable | undefined;
  #isClosed = false;
  readonly #closeOnce = once(() => this.#close());

  /** @internal see `createClient()` */
  constructor(transport: EtcdTransport, clock: Clock, random: Random) {
    this.transport = transport;
    this.clock = clock;
    this.random = random;
    this.retries = new RetryBudget(clock);
    this.leases = new Leases(transport, clock, random, this.retries);
    this.watches = new WatchHub(transport, clock, random);
    this.lists = new FirstPages(transport);
    this.audits = auditSchedule(clock);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Makes `thing` end with this client: `close()` closes it first, and waits for it. While something is
   * attached, the process stays alive: an outage of etcd, with no connection open, must not end it.
   *
   * @returns disposing forgets it again.
   * @throws SdError `SD_CLOSED` if the client is closed already.
   */
  attach(thing: Closeable): Disposable {
    requireMethods("thing", thing, ["close"]);
    if (this.#isClosed) throw new SdError("SD_CLOSED", "the client is closed");
    this.#attached.add(thing);
    this.#hold ??= holdProcess();
    return {
      [Symbol.dispose]: () => {
        this.#attached.delete(thing);
        if (this.#attached.size > 0) return;
        this.#hold?.[Symbol.dispose]();
        this.#hold = undefined;
      },
    };
  }

  /**
   * Closes what lives on this client (registrations deregister), then all streams and connections.
   *
   * Idempotent; bounded in time by what is attached; the process can exit afterwards.
   */
  close(): Promise<void> {
    return this.#closeOnce();
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([...this.#attached].map(async (thing) => thing.close()));
    this.#attached.clear();
    this.#hold?.[Symbol.dispose]();
    this.#hold = undefined;
    await Promise.allSettled([this.leases.close(), this.watches.close()]);
    await this.transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const verbs = [
  "range",
  "txn",
  "grant",
  "revoke",
  "keepAlive",
  "watch",
  "close",
] satisfies (keyof EtcdTransport)[];

/**
 * Makes a client. No I/O yet: connections are opened by the first call, and replaced as they break.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` for an option that cannot work, saying which.
 * @example
 * const etcd = createClient({ endpoints: ["http://127.0.0.1:2379"] });
 */
export function createClient(options: ClientOptions): EtcdClient {
  requireOptions("the options of createClient()", options);
  const { clock = systemClock, random = systemRandom } = options;
  requireMethods("clock", clock, ["now", "setTimer"]);
  requireMethods("random", random, ["next", "nextId"]);
  if ("transport" in options) requireMethods("transport", options.transport, verbs);
  const transport =
    "transport" in options ? options.transport : createEtcd3Transport({ ...options, clock, random });
  return new EtcdClient(transport, clock, random);
}
