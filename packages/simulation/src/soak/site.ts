import { EtcdCluster, FaultProxy, SeededRandom } from "@sd/testing";

/** So many places have a way to etcd of their own, each with a proxy before each member. */
export const ZONES = 4;

/** A member of a cluster that has just lost its leader, on a machine with other work, takes its time. */
const START_MS = 90_000;

/** One place's ways to the members, in the order of the members. */
export interface Zone {
  readonly name: string;
  readonly proxies: readonly FaultProxy[];
  readonly endpoints: readonly string[];
}

/** The cluster, and the ways to it. Dispose it. */
export class Site {
  readonly cluster: EtcdCluster;
  readonly zones: readonly Zone[];

  private constructor(cluster: EtcdCluster, zones: readonly Zone[]) {
    this.cluster = cluster;
    this.zones = zones;
  }

  static async start(binary: string, members: number, seed: number): Promise<Site> {
    const cluster = await EtcdCluster.start({ binary, members, startTimeoutMs: START_MS });
    const zones: Zone[] = [];
    for (let zone = 0; zone < ZONES; zone += 1) {
      const proxies = await Promise.all(
        cluster.members.map(({ endpoint }, index) =>
          FaultProxy.start({ target: endpoint, random: new SeededRandom(seed * 64 + zone * 8 + index) }),
        ),
      );
      const endpoints = proxies.map(({ endpoint }) => endpoint);
      zones.push({ name: `z${zone}`, proxies, endpoints });
    }
    return new Site(cluster, zones);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.zones.flatMap(({ proxies }) => proxies)) await proxy[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}
