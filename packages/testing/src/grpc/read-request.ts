import type { Status } from "./status.js";

/** etcd's default `--max-request-bytes`, and what it allows for gRPC. */
const MAX_REQUEST_BYTES = 1.5 * 2 ** 20;
const MAX_MESSAGE_BYTES = MAX_REQUEST_BYTES + 512 * 2 ** 10;

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
    const details = `grpc: received message larger than max (${bytes.length} vs. ${MAX_MESSAGE_BYTES})`;
    throw new UnreadableRequest({ code: 8, details });
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
