import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { type Method, methods } from "../src/grpc/methods.js";

/** A refused call, as etcd words it. */
export interface Refused {
  readonly code: number;
  readonly details: string;
}

/** Speaks etcd's API and nothing else: what is asked is sent, what is answered is given. */
export class RawClient {
  readonly #client: Client;
  readonly metadata = new Metadata();

  constructor(endpoint: string) {
    this.#client = new Client(endpoint.replace(/^http:\/\//, ""), credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
    });
  }

  /** Rejects with `Refused`. */
  call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.metadata,
        { deadline: Date.now() + 10_000 },
        (error: ServiceError | null, answer?: Response) => {
          if (error) reject({ code: error.code, details: error.details } satisfies Refused);
          else resolve(answer as Response);
        },
      );
    });
  }

  open<Request, Response>(method: Method<Request, Response>): RawStream<Request, Response> {
    return new RawStream(
      this.#client.makeBidiStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        this.metadata,
      ),
    );
  }

  close(): void {
    this.#client.close();
  }
}

/** A stream whose messages are kept until they are asked for. */
export class RawStream<Request, Response> {
  readonly messages: Response[] = [];
  end: Refused | undefined;
  readonly #stream: ClientDuplexStream<Request, Response>;

  constructor(stream: ClientDuplexStream<Request, Response>) {
    this.#stream = stream;
    stream.on("data", (message: Response) => this.messages.push(message));
    stream.on("error", ({ code, details }: ServiceError) => {
      this.end = { code, details };
    });
  }

  send(request: Request): void {
    this.#stream.write(request);
  }

  /** Reads no more until `resume()`: what does not fit into the window stays at the server. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

export { methods };
