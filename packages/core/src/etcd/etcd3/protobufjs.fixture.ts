import { createRequire } from "node:module";

/** How protobufjs reads and writes the messages of one method. */
export interface Reference {
  readonly requestDeserialize: (message: Uint8Array) => object;
  readonly responseSerialize: (message: object) => Buffer;
  readonly responseDeserialize: (message: Uint8Array) => object;
}

/** The methods of etcd by name, as protobufjs understands etcd3's proto files: what ours is compared with. */
export async function loadReference(): Promise<Readonly<Record<string, Reference>>> {
  giveLong();
  // Only now, since it reads the proto files while it is loaded.
  const { Etcd3 } = await import("etcd3");
  class OpenedEtcd3 extends Etcd3 {
    async methodsOf(service: "KV" | "Lease" | "Watch" | "Auth"): Promise<Record<string, Reference>> {
      const client = await this.pool.withConnection(service, (connection) => connection.client);
      return Object.getPrototypeOf(client).constructor.service;
    }
  }
  const etcd = new OpenedEtcd3();
  const services = ["KV", "Lease", "Watch", "Auth"] as const;
  const methods = await Promise.all(services.map((service) => etcd.methodsOf(service)));
  etcd.close();
  return Object.assign({}, ...methods);
}

/** Under vitest, protobufjs does not find `long`, and rounds: see `Writer`. */
function giveLong(): void {
  let require = createRequire(import.meta.url);
  for (const name of ["etcd3", "@grpc/proto-loader", "protobufjs"]) {
    require = createRequire(require.resolve(name));
  }
  const [long, protobuf] = ["long", "protobufjs/minimal"].map((name) => require(name));
  protobuf.util.Long = long.default ?? long;
  protobuf.configure();
}
