import { largerThanMax, MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES } from "../memory/limits.js";
import type { Status } from "./status.js";

/** Thrown for a message that is not even looked into. */
export class UnreadableRequest extends Error {
  readonly status: Status;

  constructor(status: Status) {
    super(status.details);
    this.name = "UnreadableRequest";
    this.status = status;
  }
}

/**
 * Reads a request as etcd does.
 *
 * @param isWrite it would go through raft, which takes less than gRPC.
 * @throws UnreadableRequest if it is too large, or no protobuf.
 */
export function readRequest<Request>(
  bytes: Buffer,
  deserialize: (bytes: Buffer) => Request,
  isWrite: boolean,
): Request {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new UnreadableRequest({ code: 8, details: largerThanMax(bytes.length) });
  }
  if (isWrite && bytes.length > MAX_REQUEST_BYTES) {
    throw new UnreadableRequest({ code: 3, details: "etcdserver: request is too large" });
  }
  try {
    return deserialize(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnreadableRequest({ code: 13, details: `grpc: error unmarshalling request: ${reason}` });
  }
}
