import type { Metadata } from "@grpc/grpc-js";
import type { Clock } from "../../kit/clock.js";
import type { Bounds } from "./bounds.js";
import { isMembersFault, statusError } from "./failures.js";
import type { Link } from "./first-ready.js";

const identity = (bytes: Buffer): Buffer => bytes;

/** What goes over the wire. */
export interface UnaryCall {
  readonly path: string;
  readonly request: Buffer;
  readonly metadata: Metadata;
  /** From now on, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Sends one call, once.
 *
 * A member that gives no answer within the bounds is asked last from now on; its connection is dropped if
 * it was silent to everybody since.
 */
export function callOnce(
  { member, connection }: Link,
  { path, request, metadata, timeoutMs }: UnaryCall,
  clock: Clock,
  bounds: Bounds,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { signal } = bounds;
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const sentAt = clock.now();
    bounds.sent(clock, timeoutMs, connection.endpoint);
    const onAbort = (): void => {
      call.cancel();
      if (bounds.timedOut) {
        member.suspect();
        if ((connection.answeredAt ?? Number.NEGATIVE_INFINITY) < sentAt) {
          connection.timedOut = true;
          void connection.close();
        }
      }
      reject(signal.reason);
    };
    // No deadline of gRPC's: it counts by the wall clock. The bounds cancel the call.
    const call = connection.client.makeUnaryRequest(
      path,
      identity,
      identity,
      request,
      metadata,
      (status, answer) => {
        signal.removeEventListener("abort", onAbort);
        if (signal.aborted) return;
        connection.exchanged(clock.now() - sentAt);
        const error = status || !answer ? statusError(status ?? NO_ANSWER, connection.endpoint) : undefined;
        if (error && isMembersFault(error)) member.suspect();
        else member.answered(connection);
        if (answer && !error) resolve(answer);
        else reject(error);
      },
    );
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

const NO_ANSWER = { code: 2, details: "call ended without an answer" };
