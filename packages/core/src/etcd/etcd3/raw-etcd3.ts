import type { Client } from "@grpc/grpc-js";
import { Etcd3, type IOptions } from "etcd3";

type FaultHandling = NonNullable<IOptions["faultHandling"]>;
type Policy = NonNullable<FaultHandling["global"]>;

/** Does nothing about faults: cockatiel's `noop`, which etcd3 does not export. */
const noop: Policy = {
  _altReturn: undefined as never,
  onSuccess: () => ({ dispose: () => {} }),
  onFailure: () => ({ dispose: () => {} }),
  execute: async (work) => work({ signal: new AbortController().signal }),
};

/**
 * etcd3's client for one member, stripped of what it does about faults and time, and opened up: we call
 * through its gRPC client, of which one, hence one connection, is enough for all services.
 */
export class RawEtcd3 extends Etcd3 {
  constructor(options: Pick<IOptions, "hosts" | "credentials" | "grpcOptions">) {
    super({ ...options, faultHandling: { host: () => noop, global: noop } });
  }

  /** The gRPC client. Connects to nothing. */
  grpcClient(): Promise<Client> {
    return this.pool.withConnection("KV", ({ client }) => client);
  }
}
