import { type Metadata, status as statusCode } from "@grpc/grpc-js";
import { SdError } from "../../kit/errors.js";
import type { DuplexStream, StreamHandlers } from "../transport.js";
import type { Call } from "./connection.js";
import { isMembersFault, networkError, type Status, statusError } from "./failures.js";
import type { Link } from "./first-ready.js";
import type { Method } from "./methods.js";

/** How a stream is written and read, and who is told of its end. */
export interface StreamPlan<Request, Response> {
  readonly method: Method<Request, Response>;
  readonly metadata: Metadata;
  readonly handlers: StreamHandlers<Response>;
  /** Sees each message before the handlers do; an error that it returns ends the stream instead. */
  readonly inspect?: (response: Response) => unknown;
  /** What the owner is told for an error. */
  readonly toldAs: (error: unknown) => unknown;
  /** Called if the owner leaves it because nothing comes. */
  readonly onSilent: () => void;
  /** Called once, at every end: with the error, or without one if the owner canceled. Before the handlers. */
  readonly onOver: (error: unknown) => void;
}

/**
 * A two-way stream on a connection. Ends once, for whatever reason, and is silent from then on.
 */
export class EtcdStream<Request, Response> implements DuplexStream<Request> {
  readonly endpoint: string;
  readonly roundTripMs: number;
  readonly #link: Link;
  readonly #plan: StreamPlan<Request, Response>;
  readonly #call: Call;
  /** grpc-js is given one message when it has taken the one before. */
  readonly #unsent: Buffer[] = [];
  #isSending = false;
  #isOver = false;

  constructor(link: Link, plan: StreamPlan<Request, Response>) {
    const { connection } = link;
    this.endpoint = connection.endpoint;
    this.roundTripMs = connection.roundTripMs;
    this.#link = link;
    this.#plan = plan;
    this.#call = connection.call(plan.method.path);
    connection.streams += 1;
    this.#call.start(plan.metadata, {
      onReceiveMetadata: () => {},
      onReceiveMessage: (message: Buffer) => {
        this.#receive(message);
        this.#call.startRead();
      },
      onReceiveStatus: (status) => this.#ended(status),
    });
    this.#call.startRead();
  }

  send(request: Request): void {
    const bytes = this.#plan.method.encode(request);
    if (this.#isOver) return;
    this.#unsent.push(bytes);
    if (!this.#isSending) this.#sendNext();
  }

  cancel({ suspect = false }: { readonly suspect?: boolean } = {}): void {
    if (!this.#leave(undefined)) return;
    if (!suspect) return;
    this.#plan.onSilent();
    this.#link.member.suspect();
    void this.#link.connection.close();
  }

  /** Ends the stream and tells its owner why. */
  end(error: unknown): void {
    if (this.#leave(error)) this.#plan.handlers.onEnd(this.#plan.toldAs(error));
  }

  #receive(message: Buffer): void {
    if (this.#isOver) return;
    this.#link.member.answered(this.#link.connection);
    try {
      const response = this.#plan.method.decode(message);
      const refusal = this.#plan.inspect?.(response);
      if (refusal === undefined) this.#plan.handlers.onMessage(response);
      else this.end(refusal);
    } catch (error) {
      // Out of here it would hit grpc-js in the middle of its work.
      this.end(
        SdError.is(error, "SD_INVARIANT")
          ? error
          : new SdError("SD_INVARIANT", `handler of a stream threw (${this.endpoint})`, { cause: error }),
      );
    }
  }

  #sendNext(): void {
    const bytes = this.#unsent.shift();
    this.#isSending = bytes !== undefined;
    if (bytes) this.#call.sendMessageWithContext({ callback: () => this.#sendNext() }, bytes);
  }

  #ended({ code, details }: Status): void {
    if (this.#isOver) return;
    const error =
      code === 0
        ? networkError("stream ended by the server", this.endpoint)
        : statusError({ code, details }, this.endpoint);
    if (isMembersFault(error)) this.#link.member.suspect();
    this.end(error);
  }

  #leave(error: unknown): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#link.connection.streams -= 1;
    this.#unsent.length = 0;
    this.#call.cancelWithStatus(statusCode.CANCELLED, "canceled by us");
    this.#plan.onOver(error);
    return true;
  }
}
