import { createServer, isIPv4 } from "node:net";
import { Server, ServerCredentials, type ServiceDefinition, type UntypedHandleCall } from "@grpc/grpc-js";
import { invalidArgument, requireOptions, SdError } from "@sd/core";
import { requireWait, requireWhole } from "../check/arguments.js";
import { type Door, hostOf, type MemoryEtcd } from "../memory/memory-etcd.js";
import { handlers } from "./handlers.js";

/** Where the store is to be reached. */
export interface ServeOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Default "127.0.0.1". */
  readonly host?: string;
  /** Lets others than this machine in. There is no encryption. Default false. */
  readonly allowRemote?: boolean;
  /** A client that has been silent for so long is asked whether it lives, and has as long to answer. Default 60000. */
  readonly keepaliveMs?: number;
}

/** A message that is larger is not read to its end; above etcd's 2 MiB, this door refuses in etcd's words. */
const MAX_RECEIVE_BYTES = 16 * 2 ** 20;

/** A store that listens. Close it, or the process stays. */
export interface MemoryEtcdServer extends Door, AsyncDisposable {
  /** What clients connect to: `http://<host>:<port>`. */
  readonly endpoint: string;
  readonly port: number;
}

/**
 * Lets any client of etcd reach a store in memory: a gRPC server on a port of this machine.
 *
 * It is the same store that `memory.transport()` leads to, with the same faults: `cut()` ends its calls and
 * streams, `refuse()` fails new ones, `freeze()` keeps them waiting. The port stays open whatever happens to the
 * store: what cannot be reached answers `UNAVAILABLE` where a dead etcd would refuse the connection. Give the store
 * a clock that runs by itself.
 * Serves when it resolves; `close()`, or that of the store, ends all connections at once.
 *
 * @throws SdError `SD_INVALID_ARGUMENT`, also for an address that is not of this machine alone without `allowRemote`;
 *   `SD_CLOSED` if the store is.
 * @throws Error if the port is taken.
 */
export async function serveMemoryEtcd(
  memory: MemoryEtcd,
  options: ServeOptions = {},
): Promise<MemoryEtcdServer> {
  requireOptions("the options of serveMemoryEtcd()", options);
  const { port = 0, host = "127.0.0.1", allowRemote = false, keepaliveMs = 60_000 } = options;
  requireWhole("port", port, 0, 65_535);
  requireWait("keepaliveMs", keepaliveMs, 1);
  if (!allowRemote && !isLoopback(host)) {
    throw invalidArgument("host", "an address of this machine alone, unless allowRemote is set", host);
  }
  const door = hostOf(memory);
  if (door.isClosed) throw new SdError("SD_CLOSED", "this MemoryEtcd is closed");
  await checkFree(host, port);
  const server = new Server({
    // Sizes are checked by the handlers, in etcd's words; this bounds what is gathered until then.
    "grpc.max_receive_message_length": MAX_RECEIVE_BYTES,
    "grpc.max_send_message_length": -1,
    // A client that vanished without a word would keep its watches for ever.
    "grpc.keepalive_time_ms": keepaliveMs,
    "grpc.keepalive_timeout_ms": keepaliveMs,
  });
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: Record<string, UntypedHandleCall> = {};
  for (const { method, handle } of handlers(door)) {
    // Requests are read, and messages of streams written, where it is known what to do about their size.
    const identity = (bytes: Buffer) => bytes;
    const responseSerialize = method.responseStream ? identity : method.responseSerialize;
    definition[method.path] = { ...method, requestDeserialize: identity, responseSerialize };
    implementation[method.path] = handle;
  }
  server.addService(definition, implementation);
  const name = host.includes(":") ? `[${host}]` : host;
  const bound = await listen(server, `${name}:${port}`);
  const endpoint = `http://${name}:${bound}`;
  door.server.clientUrls.push(endpoint);
  const close = async (): Promise<void> => {
    if (!door.doors.delete(result)) return;
    door.server.clientUrls.splice(door.server.clientUrls.indexOf(endpoint), 1);
    server.forceShutdown();
  };
  const result: MemoryEtcdServer = { endpoint, port: bound, close, [Symbol.asyncDispose]: close };
  door.doors.add(result);
  return result;
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** Rejects with Node's words if the port is taken; grpc-js would write to stderr besides. */
function checkFree(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen({ host, port }, () => probe.close(() => resolve()));
  });
}

function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
}
