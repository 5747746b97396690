/** Field numbers of etcd's messages on members, status and alarms, as in `etcdserverpb/rpc.proto`. */

import type * as cluster from "../memory/api/cluster.js";
import { always, boolean, messages, number, text, texts, uint64 } from "./fields.js";
import { header } from "./messages-kv.js";
import type { Schema } from "./schema.js";

export const empty: Schema<object> = {};

export const member: Schema<cluster.Member> = {
  id: uint64(1),
  name: text(2),
  peerUrls: texts(3),
  clientUrls: texts(4),
  isLearner: boolean(5),
};

export const memberListRequest: Schema<cluster.MemberListRequest> = { linearizable: boolean(1) };

export const memberListResponse: Schema<cluster.MemberListResponse> = {
  header: always(1, () => header),
  members: messages(2, () => member),
};

export const statusResponse: Schema<cluster.StatusResponse> = {
  header: always(1, () => header),
  version: text(2),
  dbSize: number(3),
  leader: uint64(4),
  raftIndex: uint64(5),
  raftTerm: uint64(6),
  raftAppliedIndex: uint64(7),
  errors: texts(8),
  dbSizeInUse: number(9),
  isLearner: boolean(10),
};

export const alarmRequest: Schema<cluster.AlarmRequest> = {
  action: number(1),
  memberId: uint64(2),
  alarm: number(3),
};

export const alarmMember: Schema<cluster.AlarmMember> = { memberId: uint64(1), alarm: number(2) };

export const alarmResponse: Schema<cluster.AlarmResponse> = {
  header: always(1, () => header),
  alarms: messages(2, () => alarmMember),
};
