import { type Metadata, status as statusCode } from "@grpc/grpc-js";
import type { Clock } from "../../kit/clock.js";
import type { SdError } from "../../kit/errors.js";
import { failureOf } from "../failure.js";
import type { Bounds } from "./bounds.js";
import { isMembersFault, type Status, statusError } from "./failures.js";
import type { Link } from "./first-ready.js";

/** What goes over the wire. */
export interface UnaryCall {
  readonly path: string;
  readonly request: Buffer;
  readonly metadata: Metadata;
  /** From now on, in milliseconds. */
  readonly timeoutMs: number;
  /** Called before it rejects because no answer came, or etcd says that it had none in time. */
  onTimeout(): void;
}

/**
 * Sends one call, once.
 *
 * A member that gives no answer within the bounds is asked last from now on; its connection is dropped if
 * it was silent to everybody since.
 */
export function callOnce(
  { member, connection }: Link,
  { path, request, metadata, timeoutMs, onTimeout }: UnaryCall,
  clock: Clock,
  bounds: Bounds,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    bounds.throwIfOver();
    const sentAt = clock.now();
    bounds.sent(clock, timeoutMs, connection.endpoint);
    const call = connection.call(path);
    const fail = (error: unknown): void => {
      if (failureOf(error) === "timeout") onTimeout();
      reject(error);
    };
    bounds.onOver = (reason) => {
      call.cancelWithStatus(statusCode.CANCELLED, "canceled by us");
      if (bounds.timedOut) {
        member.suspect();
        if ((connection.answeredAt ?? Number.NEGATIVE_INFINITY) < sentAt) {
          connection.isGivenUp = true;
          void connection.close();
        }
      }
      fail(reason);
    };
    let answer: Buffer | undefined;
    call.start(metadata, {
      onReceiveMetadata: () => {},
      onReceiveMessage: (message: Buffer) => {
        answer = message;
      },
      onReceiveStatus: (status) => {
        if (bounds.isOver) return;
        bounds.onOver = undefined;
        const error = failureIn(status, answer, connection.endpoint);
        // A connection that breaks tells soon, and nothing of how long a message takes.
        if (failureOf(error) !== "network") connection.exchanged(clock.now() - sentAt);
        if (error && isMembersFault(error)) member.suspect();
        else member.answered(connection);
        if (answer && !error) resolve(answer);
        else fail(error);
      },
    });
    call.startRead();
    call.sendMessageWithContext({}, request);
    call.halfClose();
  });
}

function failureIn(status: Status, answer: Buffer | undefined, endpoint: string): SdError | undefined {
  if (status.code !== statusCode.OK) return statusError(status, endpoint);
  return answer ? undefined : statusError(NO_ANSWER, endpoint);
}

const NO_ANSWER = { code: 2, details: "call ended without an answer" };
