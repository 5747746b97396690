import { EtcdCluster, FaultProxy, SeededRandom } from "@sd/testing";
import { Access } from "./access.js";

/** So many places have a way to etcd of their own, each with a proxy before each member. */
export const ZONES = 4;
export const SERVICES = ["soak-a", "soak-b"] as const;

/** A member of a cluster that has just lost its leader, on a machine with other work, takes its time. */
const START_MS = 90_000;

/** One place's ways to the members, in the order of the members. */
export interface Zone {
  readonly name: string;
  readonly proxies: readonly FaultProxy[];
  /** What clients are told, in the order of the proxies. */
  readonly endpoints: readonly string[];
}

export interface SiteOptions {
  readonly binary: string;
  readonly members: number;
  readonly seed: number;
  /** With TLS and users. */
  readonly isSecure: boolean;
}

/** The cluster, and the ways to it. Dispose it. */
export class Site {
  readonly cluster: EtcdCluster;
  readonly zones: readonly Zone[];
  /** Of a secure cluster. */
  readonly access: Access | undefined;

  private constructor(cluster: EtcdCluster, zones: readonly Zone[], access: Access | undefined) {
    this.cluster = cluster;
    this.zones = zones;
    this.access = access;
  }

  static async start({ binary, members, seed, isSecure }: SiteOptions): Promise<Site> {
    const access = isSecure ? await Access.create(SERVICES.map((service) => `/${service}/`)) : undefined;
    const options = { binary, members, startTimeoutMs: START_MS, ...access?.clusterOptions };
    const cluster = await EtcdCluster.start(options);
    if (access) await cluster.enableAuth(access.auth);
    const zones: Zone[] = [];
    for (let zone = 0; zone < ZONES; zone += 1) {
      const proxies = await Promise.all(
        cluster.members.map(({ endpoint }, index) =>
          FaultProxy.start({ target: endpoint, random: new SeededRandom(seed * 64 + zone * 8 + index) }),
        ),
      );
      const scheme = isSecure ? "https" : "http";
      const endpoints = proxies.map(({ endpoint }) => `${scheme}://${new URL(endpoint).host}`);
      zones.push({ name: `z${zone}`, proxies, endpoints });
    }
    return new Site(cluster, zones, access);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.zones.flatMap(({ proxies }) => proxies)) await proxy[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
    this.access?.[Symbol.dispose]();
  }
}
