import { type Clock, sleep, systemClock } from "@sd/core";
import { EtcdProcess, type FaultProxy } from "@sd/testing";
import { Record } from "../record.js";
import { Gateway } from "../soak/gateway.js";
import { Oracle } from "../soak/oracle.js";

/** So long a library may take to be right again. */
export const UNTIL_MS = 40_000;
const AT_ONCE = 20;
/** By then what was written has arrived, if nothing is wrong. */
const REST_MS = 1_000;

/** The two ways to etcd that one library has. */
export type Ways = readonly [FaultProxy, FaultProxy];

/** An etcd, what writes to it, and its own history. Dispose it. */
export class Lab implements AsyncDisposable {
  readonly etcd: EtcdProcess;
  readonly gateway: Gateway;
  readonly oracle: Oracle;
  readonly clock: Clock = systemClock;

  private constructor(etcd: EtcdProcess) {
    this.etcd = etcd;
    this.gateway = new Gateway([etcd.endpoint]);
    this.oracle = new Oracle(new Gateway([etcd.endpoint]), this.clock, new Record(this.clock), () => {});
  }

  static async start(binary: string): Promise<Lab> {
    return new Lab(await EtcdProcess.start({ binary }));
  }

  /** `count` keys, one revision each. */
  puts(prefix: string, count: number): Promise<void> {
    return inParallel(count, (index) => this.gateway.put(`${prefix}${index}`, `${index}`));
  }

  deletes(prefix: string, count: number): Promise<void> {
    return inParallel(count, (index) => this.gateway.delete(`${prefix}${index}`));
  }

  /** Drops all history, once the oracle knows it. */
  async compact(): Promise<void> {
    await this.oracle.catchUp();
    await this.gateway.compact(this.oracle.revision);
  }

  /** Of the key as the oracle knows it. */
  leaseOf(key: string): bigint {
    return this.oracle.life.at(key, Number.POSITIVE_INFINITY)?.lease ?? 0n;
  }

  pause(ms: number): Promise<void> {
    return sleep(this.clock, ms);
  }

  rest(): Promise<void> {
    return this.pause(REST_MS);
  }

  /** Notes which of its ways each library has heard by last. */
  observe(ways: readonly Ways[], used: number[]): Disposable {
    const observed = ways.flatMap((both, library) =>
      both.map((way, index) =>
        way.onDownstream(() => {
          used[library] = index;
        }),
      ),
    );
    return {
      [Symbol.dispose]: () => {
        for (const each of observed) each[Symbol.dispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.oracle.close();
    await this.etcd[Symbol.asyncDispose]();
  }
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}
