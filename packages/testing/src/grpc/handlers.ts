import type { UntypedHandleCall } from "@grpc/grpc-js";
import type { Client } from "../memory/auth/guard.js";
import type { AnswerVerb } from "../memory/calls.js";
import type { DoorHost } from "../memory/memory-etcd.js";
import { clientOf } from "./client-of.js";
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
  const { server, network } = host;
  const { KV, Lease, Watch, Cluster, Maintenance } = methods;
  const call = caller(host);
  return [
    call(KV.range, (request, client) => server.range(request, client), "range", false),
    call(KV.put, (request, client) => server.put(request, client), "txn"),
    call(KV.deleteRange, (request, client) => server.deleteRange(request, client), "txn"),
    call(KV.txn, (request, client) => server.txn(request, client), "txn"),
    call(KV.compact, (request, client) => server.compact(request, client)),
    call(Lease.grant, (request, client) => server.grant(request, client), "grant"),
    call(Lease.revoke, (request, client) => server.revoke(request, client), "revoke"),
    call(Lease.timeToLive, (request, client) => server.timeToLive(request, client)),
    call(Lease.leases, (_request, client) => server.listLeases(client)),
    call(Cluster.memberList, (_request, client) => server.memberList(client)),
    call(Maintenance.status, (_request, client) => server.status(client)),
    call(Maintenance.alarm, (request, client) => server.alarm(request, client)),
    call(Maintenance.defragment, (_request, client) => server.defragment(client)),
    ...authHandlers(host),
    {
      method: Lease.keepAlive,
      handle: duplex(host, Lease.keepAlive, "keepAlive", (emit, metadata) => ({
        receive: (request) => {
          if (network.takeDrop("renew")) return;
          const answer = server.renew(request, clientOf(metadata));
          if (!network.takeLoss("renew")) emit(answer);
        },
        close: () => {},
        endsWithClient: true,
      })),
    },
    {
      method: Watch.watch,
      handle: duplex(
        host,
        Watch.watch,
        "watch",
        (emit, metadata) => {
          const watches = server.openWatch(emit, clientOf(metadata));
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

function authHandlers(host: DoorHost): Served[] {
  const auth = host.server.authServer;
  const { Auth } = methods;
  const call = caller(host);
  return [
    call(Auth.enable, (_request, client) => auth.enable(client)),
    call(Auth.disable, (_request, client) => auth.disable(client)),
    call(Auth.status, (_request, client) => auth.status(client)),
    call(Auth.authenticate, (request, client) => auth.authenticate(request, client)),
    call(Auth.userAdd, (request, client) => auth.userAdd(request, client)),
    call(Auth.userGet, (request, client) => auth.userGet(request, client)),
    call(Auth.userList, (_request, client) => auth.userList(client)),
    call(Auth.userDelete, (request, client) => auth.userDelete(request, client)),
    call(Auth.userChangePassword, (request, client) => auth.userChangePassword(request, client)),
    call(Auth.userGrantRole, (request, client) => auth.userGrantRole(request, client)),
    call(Auth.userRevokeRole, (request, client) => auth.userRevokeRole(request, client)),
    call(Auth.roleAdd, (request, client) => auth.roleAdd(request, client)),
    call(Auth.roleGet, (request, client) => auth.roleGet(request, client)),
    call(Auth.roleList, (_request, client) => auth.roleList(client)),
    call(Auth.roleDelete, (request, client) => auth.roleDelete(request, client)),
    call(Auth.roleGrantPermission, (request, client) => auth.roleGrantPermission(request, client)),
    call(Auth.roleRevokePermission, (request, client) => auth.roleRevokePermission(request, client)),
  ];
}

/** Makes the handlers of calls; `answer` is told who calls. */
function caller(host: DoorHost) {
  return <Request, Response>(
    method: Method<Request, Response>,
    answer: (request: Request, client: Client) => Response,
    verb?: AnswerVerb,
    isWrite = true,
  ): Served => ({
    method,
    handle: unary(host, method, (request, metadata) => answer(request, clientOf(metadata)), {
      verb,
      isWrite,
    }),
  });
}
