import type { handleUnaryCall, Metadata } from "@grpc/grpc-js";
import type { AnswerVerb } from "../memory/calls.js";
import type { DoorHost } from "../memory/memory-etcd.js";
import { connectionRefused, connectionReset, type Link } from "../memory/network.js";
import type { Method } from "./methods.js";
import { readRequest, UnreadableRequest } from "./read-request.js";
import { type Status, statusOf } from "./status.js";

/** Answers a request, or throws as etcd refuses. The metadata name who asks. */
export type Answer<Request, Response> = (request: Request, metadata: Metadata) => Response;

/** What a method is to the store's network. */
export interface Traits {
  /** What its requests count as for `dropNextRequest()` and `loseNextAnswer()`. */
  readonly verb: AnswerVerb | undefined;
  readonly isWrite: boolean;
}

/**
 * The handler of one method: over the store's network, so that it can be refused, frozen and cut.
 *
 * Requests are done in the order of their arrival, and answered in it.
 */
export function unary<Request, Response>(
  { network }: DoorHost,
  method: Method<Request, Response>,
  answer: Answer<Request, Response>,
  { verb, isWrite }: Traits,
): handleUnaryCall<Buffer, Response> {
  return ({ request: bytes, metadata }, callback) => {
    if (network.isRefusing) {
      callback(statusOf(connectionRefused()));
      return;
    }
    let isOver = false;
    const finish = (status: Status | null, response?: Response): void => {
      if (isOver) return;
      isOver = true;
      attached[Symbol.dispose]();
      callback(status, response);
    };
    const link: Link = { fail: (error) => finish(statusOf(error)) };
    const attached = network.attach(link);
    network.post(() => {
      if (isOver) return;
      if (verb && network.takeDrop(verb)) return link.fail(connectionReset());
      const isLost = verb !== undefined && network.takeLoss(verb);
      try {
        const response = answer(readRequest(bytes, method.requestDeserialize, isWrite), metadata);
        network.post(() => (isLost ? link.fail(connectionReset()) : finish(null, response)));
      } catch (error) {
        const status = error instanceof UnreadableRequest ? error.status : statusOf(error);
        network.post(() => finish(status));
      }
    });
  };
}
