import { fixedRandom, ManualClock, MemoryEtcd, type MemoryEtcdOptions } from "@sd/testing";
import { expect } from "vitest";
import { createClient, type EtcdClient } from "../src/client.js";
import type { EtcdTransport } from "../src/etcd/transport.js";
import type { Random } from "../src/kit/random.js";

/** A client of an etcd in memory, on a clock that the test moves. */
export interface ClientFixture {
  readonly clock: ManualClock;
  readonly etcd: MemoryEtcd;
  readonly client: EtcdClient;
  /** Closes the client, then checks that no timer and no stream is left. */
  end(): Promise<void>;
}

export interface ClientFixtureOptions extends Partial<MemoryEtcdOptions> {
  /** Default: always 0.5, the middle of every jitter. */
  readonly random?: Random;
  /** Stands between the client and its etcd. */
  readonly wrap?: (transport: EtcdTransport) => EtcdTransport;
}

export function openClient({
  random = fixedRandom(0.5),
  wrap = (transport) => transport,
  ...options
}: ClientFixtureOptions = {}): ClientFixture {
  const clock = new ManualClock();
  const etcd = new MemoryEtcd({ clock, ...options });
  const client = createClient({ transport: wrap(etcd.transport()), clock, random });
  return {
    clock,
    etcd,
    client,
    end: async () => {
      await client.close();
      await etcd.close();
      expect(etcd.openStreams).toBe(0);
      expect(clock.pending).toBe(0);
    },
  };
}
