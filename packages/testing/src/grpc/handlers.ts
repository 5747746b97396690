import type { UntypedHandleCall } from "@grpc/grpc-js";
import type { DoorHost } from "../memory/memory-etcd.js";
import { duplex } from "./duplex.js";
import { type Method, methods } from "./methods.js";
import { unary } from "./unary.js";

/** A method with what answers it. */
export interface Served {
  // biome-ignore lint/suspicious/noExplicitAny: each has its own messages, checked where it is made
  readonly method: Method<any, any>;
  readonly handle: UntypedHandleCall;
}

/** What etcd's services answer from a store in memory. */
export function handlers(host: DoorHost): Served[] {
  const { server } = host;
  const { KV, Lease, Watch, Cluster, Maintenance } = methods;
  const call = <Request, Response>(
    method: Method<Request, Response>,
    answer: (request: Request) => Response,
    isWrite = true,
  ): Served => ({ method, handle: unary(host, method, answer, isWrite) });
  return [
    call(KV.range, (request) => server.range(request), false),
    call(KV.put, (request) => server.put(request)),
    call(KV.deleteRange, (request) => server.deleteRange(request)),
    call(KV.txn, (request) => server.txn(request)),
    call(KV.compact, (request) => server.compact(request)),
    call(Lease.grant, (request) => server.grant(request)),
    call(Lease.revoke, (request) => server.revoke(request)),
    call(Lease.timeToLive, (request) => server.timeToLive(request)),
    call(Lease.leases, () => server.listLeases()),
    call(Cluster.memberList, () => server.memberList()),
    call(Maintenance.status, () => server.status()),
    call(Maintenance.alarm, (request) => server.alarm(request)),
    call(Maintenance.defragment, () => server.defragment()),
    {
      method: Lease.keepAlive,
      handle: duplex(host, Lease.keepAlive, (emit) => ({
        receive: (request) => emit(server.renew(request)),
        close: () => {},
        endsWithClient: true,
      })),
    },
    {
      method: Watch.watch,
      handle: duplex(
        host,
        Watch.watch,
        (emit) => {
          const watches = server.openWatch(emit);
          return {
            receive: (request) => watches.receive(request),
            close: () => watches.close(),
            fallBehind: () => watches.fallBehind(),
            catchUp: () => watches.catchUp(),
            endsWithClient: false,
          };
        },
        ({ events }) => events.length > 0,
      ),
    },
  ];
}
