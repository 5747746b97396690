import type { DuplexStream, SdError, StreamHandlers } from "@sd/core";
import type { Link, Network } from "./network.js";
import { MEMORY_ENDPOINT } from "./refusals.js";

/** etcd's end of a stream. */
export interface StreamServer<Request> {
  /** Throws the SdError with which the stream is to end. */
  receive(request: Request): void;
  close(): void;
}

/** What a stream does besides: logging, and holding messages back. */
export interface StreamHooks<Request, Response> {
  /** Throws for a request that cannot be written: it is not sent. */
  onSend(request: Request): void;
  onCancel(suspect: boolean): void;
  /** Called once, at the end of the stream, whatever ended it. */
  onClose(): void;
  /** Called for each message of the server; `deliver` sends it on to the client. */
  onAnswer(response: Response, deliver: () => void): void;
}

/** Both ends of an open stream in memory. What is under way when it ends is lost. */
export class MemoryStream<Request, Response> implements DuplexStream<Request>, Link {
  readonly endpoint = MEMORY_ENDPOINT;
  readonly #network: Network;
  readonly #handlers: StreamHandlers<Response>;
  readonly #hooks: StreamHooks<Request, Response>;
  readonly #link: Disposable;
  readonly #server: StreamServer<Request>;
  #isOver = false;
  #isCanceled = false;

  constructor(
    network: Network,
    handlers: StreamHandlers<Response>,
    hooks: StreamHooks<Request, Response>,
    open: (emit: (response: Response) => void) => StreamServer<Request>,
  ) {
    this.#network = network;
    this.#handlers = handlers;
    this.#hooks = hooks;
    this.#link = network.attach(this);
    this.#server = open((response) => hooks.onAnswer(response, () => this.#deliver(response)));
  }

  send(request: Request): void {
    if (this.#isOver) return;
    this.#hooks.onSend(request);
    this.#network.post(() => {
      if (this.#isOver) return;
      try {
        this.#server.receive(request);
      } catch (error) {
        this.#network.post(() => this.fail(error as SdError));
      }
    });
  }

  cancel({ suspect = false }: { readonly suspect?: boolean } = {}): void {
    this.#isCanceled = true;
    if (this.#isOver) return;
    this.#hooks.onCancel(suspect);
    this.#close();
  }

  fail(error: SdError): void {
    if (this.#isOver) return;
    this.#close();
    queueMicrotask(() => {
      if (!this.#isCanceled) this.#handlers.onEnd(error);
    });
  }

  #deliver(response: Response): void {
    this.#network.post(() => {
      if (!this.#isOver) this.#handlers.onMessage(response);
    });
  }

  #close(): void {
    this.#isOver = true;
    this.#link[Symbol.dispose]();
    this.#server.close();
    this.#hooks.onClose();
  }
}
