/** Field numbers of etcd's watch messages, as in `etcdserverpb/rpc.proto` and `mvccpb/kv.proto`. */

import type * as watch from "../memory/api/watch.js";
import { always, boolean, bytes, int64, message, messages, number, numbers, text } from "./fields.js";
import { empty } from "./messages-cluster.js";
import { header, keyValue } from "./messages-kv.js";
import type { Field, Schema } from "./schema.js";

export const watchCreateRequest: Schema<watch.WatchCreateRequest> = {
  key: bytes(1),
  rangeEnd: bytes(2),
  startRevision: number(3),
  progressNotify: boolean(4),
  filters: numbers(5),
  prevKv: boolean(6),
  watchId: int64(7),
  fragment: boolean(8),
};

export const watchCancelRequest: Schema<watch.WatchCancelRequest> = { watchId: int64(1) };

export const watchRequest: Schema<watch.WatchRequest> = {
  create: message(1, () => watchCreateRequest),
  cancel: message(2, () => watchCancelRequest),
  progress: message(3, () => empty),
};

const typeNumber = number(1);

/** An enum of two: 0 is a put, 1 a delete. */
const eventType: Field<watch.Event["type"]> = {
  number: 1,
  missing: () => "put",
  write: (writer, value) => typeNumber.write(writer, value === "delete" ? 1 : 0),
  read: (reader) => (reader.number() === 1 ? "delete" : "put"),
};

export const event: Schema<watch.Event> = {
  type: eventType,
  kv: always(2, () => keyValue),
  prevKv: message(3, () => keyValue),
};

export const watchResponse: Schema<watch.WatchResponse> = {
  header: always(1, () => header),
  watchId: int64(2),
  created: boolean(3),
  canceled: boolean(4),
  compactRevision: number(5),
  cancelReason: text(6),
  fragment: boolean(7),
  events: messages(11, () => event),
};
