import * as auth from "./messages-auth.js";
import * as cluster from "./messages-cluster.js";
import * as kv from "./messages-kv.js";
import * as lease from "./messages-lease.js";
import * as watch from "./messages-watch.js";
import { readFields, type Schema, writeFields } from "./schema.js";
import { WireReader } from "./wire-reader.js";
import { WireWriter } from "./wire-writer.js";

/** A method of etcd in the form that grpc-js takes on either side: messages to bytes and back. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

function method<Request, Response>(
  path: string,
  request: Schema<Request>,
  response: Schema<Response>,
  isStream = false,
): Method<Request, Response> {
  return {
    path: `/etcdserverpb.${path}`,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: (value) => encode(request, value),
    requestDeserialize: (bytes) => decode(request, bytes),
    responseSerialize: (value) => encode(response, value),
    responseDeserialize: (bytes) => decode(response, bytes),
  };
}

/** The bytes of a message. */
export function encode<Message>(schema: Schema<Message>, value: Message): Buffer {
  const writer = new WireWriter();
  writeFields(writer, schema, value);
  return writer.finish();
}

/** A message from its bytes. @throws Error if they are none. */
export function decode<Message>(schema: Schema<Message>, bytes: Uint8Array): Message {
  return readFields(new WireReader(bytes), schema);
}

/** The methods of etcd that are answered, by service. */
export const methods = {
  KV: {
    range: method("KV/Range", kv.rangeRequest, kv.rangeResponse),
    put: method("KV/Put", kv.putRequest, kv.putResponse),
    deleteRange: method("KV/DeleteRange", kv.deleteRangeRequest, kv.deleteRangeResponse),
    txn: method("KV/Txn", kv.txnRequest, kv.txnResponse),
    compact: method("KV/Compact", kv.compactionRequest, kv.headerResponse),
  },
  Lease: {
    grant: method("Lease/LeaseGrant", lease.leaseGrantRequest, lease.leaseGrantResponse),
    revoke: method("Lease/LeaseRevoke", lease.leaseRequest, kv.headerResponse),
    keepAlive: method("Lease/LeaseKeepAlive", lease.leaseRequest, lease.leaseKeepAliveResponse, true),
    timeToLive: method("Lease/LeaseTimeToLive", lease.leaseTimeToLiveRequest, lease.leaseTimeToLiveResponse),
    leases: method("Lease/LeaseLeases", cluster.empty, lease.leaseLeasesResponse),
  },
  Watch: { watch: method("Watch/Watch", watch.watchRequest, watch.watchResponse, true) },
  Cluster: {
    memberList: method("Cluster/MemberList", cluster.memberListRequest, cluster.memberListResponse),
  },
  Maintenance: {
    status: method("Maintenance/Status", cluster.empty, cluster.statusResponse),
    alarm: method("Maintenance/Alarm", cluster.alarmRequest, cluster.alarmResponse),
    defragment: method("Maintenance/Defragment", cluster.empty, kv.headerResponse),
  },
  Auth: {
    enable: method("Auth/AuthEnable", cluster.empty, kv.headerResponse),
    disable: method("Auth/AuthDisable", cluster.empty, kv.headerResponse),
    status: method("Auth/AuthStatus", cluster.empty, auth.authStatusResponse),
    authenticate: method("Auth/Authenticate", auth.authenticateRequest, auth.authenticateResponse),
    userAdd: method("Auth/UserAdd", auth.userAddRequest, kv.headerResponse),
    userGet: method("Auth/UserGet", auth.nameRequest, auth.namesResponse),
    userList: method("Auth/UserList", cluster.empty, auth.namesResponse),
    userDelete: method("Auth/UserDelete", auth.nameRequest, kv.headerResponse),
    userChangePassword: method("Auth/UserChangePassword", auth.userChangePasswordRequest, kv.headerResponse),
    userGrantRole: method("Auth/UserGrantRole", auth.userRoleRequest, kv.headerResponse),
    userRevokeRole: method("Auth/UserRevokeRole", auth.userRoleRequest, kv.headerResponse),
    roleAdd: method("Auth/RoleAdd", auth.nameRequest, kv.headerResponse),
    roleGet: method("Auth/RoleGet", auth.nameRequest, auth.roleGetResponse),
    roleList: method("Auth/RoleList", cluster.empty, auth.namesResponse),
    roleDelete: method("Auth/RoleDelete", auth.nameRequest, kv.headerResponse),
    roleGrantPermission: method(
      "Auth/RoleGrantPermission",
      auth.roleGrantPermissionRequest,
      kv.headerResponse,
    ),
    roleRevokePermission: method(
      "Auth/RoleRevokePermission",
      auth.roleRevokePermissionRequest,
      kv.headerResponse,
    ),
  },
} as const;
