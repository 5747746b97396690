import type { ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { SdError } from "../../kit/errors.js";
import type { DuplexStream, StreamHandlers } from "../transport.js";
import { isMembersFault, networkError, type Status, statusError } from "./failures.js";
import type { Link } from "./first-ready.js";
import type { Method } from "./methods.js";

const identity = (bytes: Buffer): Buffer => bytes;

/** How a stream is written and read, and who is told of its end. */
export interface StreamPlan<Request, Response> {
  readonly method: Method<Request, Response>;
  readonly metadata: Metadata;
  readonly handlers: StreamHandlers<Response>;
  /** Sees each message before the handlers do; an error that it returns ends the stream instead. */
  readonly inspect?: (response: Response) => unknown;
  /** What the owner is told for an error. */
  readonly toldAs: (error: unknown) => unknown;
  /** Called once, at every end: with the error, or without one if the owner canceled. Before the handlers. */
  readonly onOver: (error: unknown) => void;
}

/** A two-way stream on a connection. Ends once, for whatever reason, and is silent from then on. */
export class EtcdStream<Request, Response> implements DuplexStream<Request> {
  readonly endpoint: string;
  readonly roundTripMs: number;
  readonly #link: Link;
  readonly #plan: StreamPlan<Request, Response>;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  #isOver = false;

  constructor(link: Link, plan: StreamPlan<Request, Response>) {
    const { connection } = link;
    this.endpoint = connection.endpoint;
    this.roundTripMs = connection.roundTripMs;
    this.#link = link;
    this.#plan = plan;
    this.#call = connection.client.makeBidiStreamRequest(plan.method.path, identity, identity, plan.metadata);
    this.#call.on("data", (message: Buffer) => this.#receive(message));
    // The status always comes, after an error too; an error may also be Node's own. This listener stays:
    // an error event that nobody hears would end the process.
    this.#call.on("error", (error: Error & Partial<Status>) => this.#ended(error));
    this.#call.on("status", (status: Status) => this.#ended(status));
  }

  send(request: Request): void {
    const bytes = this.#plan.method.encode(request);
    if (!this.#isOver) this.#call.write(bytes);
  }

  cancel({ suspect = false }: { readonly suspect?: boolean } = {}): void {
    if (!this.#leave(undefined)) return;
    if (!suspect) return;
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

  #ended({ code = 2, details = "stream broke" }: Partial<Status>): void {
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
    this.#call.cancel();
    this.#plan.onOver(error);
    return true;
  }
}
