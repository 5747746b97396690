import { createClient, type Etcd3TransportOptions, type EtcdClient, type LeaseId } from "@sd/core";
import { type DiscoveryOptions, discover, type ServiceDiscovery } from "@sd/discover";
import { type InstanceRegistration, type RegistrationOptions, register } from "@sd/register";
import {
  type ChangeRecording,
  type EtcdBinary,
  etcdBinaries,
  recordChanges,
  recordStates,
  type StateRecording,
} from "@sd/testing";

export interface PairOptions extends RegistrationOptions, DiscoveryOptions {
  /** Default `web`; the instance is `node1`. */
  readonly service?: string;
}

/** The TTL of its registration, in seconds, if a test says nothing else. */
export const TTL = 5;

/**
 * A registration and a discovery that finds it, each on a client of its own as in two processes, and all that
 * they tell from the moment on at which both are there.
 */
export class Pair implements AsyncDisposable {
  readonly server: InstanceRegistration;
  readonly web: ServiceDiscovery;
  readonly serverStates: StateRecording<InstanceRegistration["state"]>;
  readonly webStates: StateRecording<ServiceDiscovery["state"]>;
  readonly changes: ChangeRecording<ServiceDiscovery["snapshot"]["instances"][number]>;
  /** How often the discovery was left with no instance. */
  emptied = 0;
  readonly #clients: readonly EtcdClient[];

  private constructor(server: InstanceRegistration, web: ServiceDiscovery, clients: readonly EtcdClient[]) {
    this.server = server;
    this.web = web;
    this.#clients = clients;
    this.serverStates = recordStates(server);
    this.webStates = recordStates(web);
    this.changes = recordChanges(web);
    web.onChanges(() => {
      if (web.snapshot.instances.length === 0) this.emptied += 1;
    });
  }

  static async start(
    reach: Etcd3TransportOptions,
    { service = "web", ttlSeconds = TTL, ...options }: PairOptions = {},
  ): Promise<Pair> {
    const clients = [createClient(reach), createClient(reach)] as const;
    try {
      const server = await register(clients[0], {
        service,
        id: "node1",
        address: "localhost:8000",
        ttlSeconds,
        ...options,
      });
      return new Pair(server, await discover(clients[1], { service, ...options }), clients);
    } catch (error) {
      await Promise.all(clients.map((client) => client.close()));
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Long enough for a lease that nobody renews to end. */
export const leaseTime = (ttlSeconds = TTL): Promise<void> => pause(ttlSeconds * 1_000 + 2_000);

/** Writes `count` keys that begin with `prefix`, 100 in a revision. Default: under a new lease of ten minutes. */
export async function fill(
  client: EtcdClient,
  prefix: string,
  count: number,
  { lease, value = "1" }: { readonly lease?: LeaseId; readonly value?: string } = {},
): Promise<void> {
  const id = lease ?? (await client.leases.grant({ ttlSeconds: 600 })).id;
  const write = (from: number): Promise<unknown> =>
    client.transport.txn({
      compare: [],
      success: Array.from({ length: 100 }, (_, index) => ({
        type: "put",
        key: Buffer.from(`${prefix}${from + index}`),
        value: Buffer.from(value),
        lease: id,
      })),
      failure: [],
    });
  for (let from = 0; from < count; from += 1_000) {
    await Promise.all(Array.from({ length: 10 }, (_, index) => write(from + index * 100)));
  }
}

/** The newest etcd alone: for faults of the way there, which look alike whatever is behind it. */
export function newest(): readonly EtcdBinary[] {
  return etcdBinaries().slice(-1);
}
