import type { handleBidiStreamingCall, Metadata, ServerDuplexStream } from "@grpc/grpc-js";
import type { RequestVerb } from "../memory/calls.js";
import type { DoorHost } from "../memory/memory-etcd.js";
import { connectionRefused, connectionReset, type Link } from "../memory/network.js";
import type { Method } from "./methods.js";
import { readRequest, UnreadableRequest } from "./read-request.js";
import { type Status, statusOf } from "./status.js";
import { Unsent } from "./unsent.js";

/** etcd's end of a stream: what it does with a request, and with the end. */
export interface StreamEnd<Request> {
  /** Throws to end the stream with that status. */
  receive(request: Request): void;
  close(): void;
  /** The client does not read what it is told: until `catchUp()`, what can wait is not sent. */
  fallBehind?(): void;
  /** The client has read most of it. */
  catchUp?(): void;
  /** Whether the stream ends when the client has said its last. */
  readonly endsWithClient: boolean;
}

/** Opens etcd's end; `emit` sends to the client, in order. Throws to refuse the stream. */
export type Open<Request, Response> = (
  emit: (response: Response) => void,
  metadata: Metadata,
) => StreamEnd<Request>;

/** The handler of a stream: over the store's network, so that it can be refused, frozen and cut. */
export function duplex<Request, Response>(
  host: DoorHost,
  method: Method<Request, Response>,
  verb: RequestVerb,
  open: Open<Request, Response>,
  hasEvents: (response: Response) => boolean = () => false,
): handleBidiStreamingCall<Buffer, Buffer> {
  return (call) => {
    if (host.network.isRefusing) fail(call, statusOf(connectionRefused()));
    else if (host.network.takeDrop(verb)) fail(call, statusOf(connectionReset()));
    else serve(host, method, open, hasEvents, call);
  };
}

function serve<Request, Response>(
  { network, held, streams }: DoorHost,
  method: Method<Request, Response>,
  open: Open<Request, Response>,
  hasEvents: (response: Response) => boolean,
  call: ServerDuplexStream<Buffer, Buffer>,
): void {
  let isOver = false;
  const close = (): void => {
    if (isOver) return;
    isOver = true;
    attached[Symbol.dispose]();
    streams.delete(call);
    held.drop(call);
    end?.close();
  };
  const refuse = (error: unknown): void => {
    const status = error instanceof UnreadableRequest ? error.status : statusOf(error);
    network.post(() => {
      if (isOver) return;
      close();
      fail(call, status);
    });
  };
  const link: Link = {
    fail: () => {
      if (isOver) return;
      close();
      fail(call, statusOf(connectionReset()));
    },
  };
  const attached = network.attach(link);
  streams.add(call);
  const unsent = new Unsent(
    () => {
      call.pause();
      end?.fallBehind?.();
    },
    () => {
      if (isOver) return;
      call.resume();
      end?.catchUp?.();
    },
  );
  const deliver = (response: Response): void =>
    network.post(() => {
      if (isOver) return;
      const bytes = method.responseSerialize(response);
      call.write(bytes, unsent.add(bytes.length));
    });
  const emit = (response: Response): void => held.offer(call, hasEvents(response), () => deliver(response));
  let end: StreamEnd<Request> | undefined;
  const receive = (bytes: Buffer): void => {
    if (isOver) return;
    try {
      end ??= open(emit, call.metadata);
      end.receive(readRequest(bytes, method.requestDeserialize, false));
    } catch (error) {
      refuse(error);
    }
  };
  call.on("data", (bytes: Buffer) => network.post(() => receive(bytes)));
  call.on("end", () =>
    network.post(() => {
      if (isOver || !end?.endsWithClient) return;
      network.post(() => {
        close();
        call.end();
      });
    }),
  );
  call.on("cancelled", close);
  call.on("error", close);
}

function fail(call: ServerDuplexStream<Buffer, never>, { code, details }: Status): void {
  call.emit("error", Object.assign(new Error(details), { code, details }));
}
