/** etcd's default `--max-request-bytes`: what raft takes. */
export const MAX_REQUEST_BYTES = 1.5 * 2 ** 20;

/** What etcd allows besides for a message of gRPC. */
export const MAX_MESSAGE_BYTES = MAX_REQUEST_BYTES + 512 * 2 ** 10;

/** How etcd's gRPC refuses a message that is larger; its status is 8. */
export function largerThanMax(bytes: number): string {
  return `grpc: received message larger than max (${bytes} vs. ${MAX_MESSAGE_BYTES})`;
}
