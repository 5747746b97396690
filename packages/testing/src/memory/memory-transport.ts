import {
  type CallOptions,
  type Clock,
  type DuplexStream,
  type EtcdTransport,
  type GrantRequest,
  type GrantResponse,
  type KeepAliveRequest,
  type KeepAliveResponse,
  type LeaseId,
  type RangeRequest,
  type RangeResponse,
  type RevokeResponse,
  SdError,
  type StreamHandlers,
  type TxnRequest,
  type TxnResponse,
  type WatchRequest,
  type WatchResponse,
  waitFor,
} from "@sd/core";
import type { AuthenticateRequest } from "./api/auth.js";
import type { AnswerVerb, Requests, RequestVerb, Verb } from "./calls.js";
import type { HeldMessages } from "./held-messages.js";
import { MemoryStream } from "./memory-stream.js";
import { connectionRefused, connectionReset, type Link, type Network } from "./network.js";
import {
  checkSize,
  fromLease,
  fromTxn,
  fromWatch,
  toGrant,
  toLease,
  toRange,
  toTxn,
  toWatch,
} from "./port.js";
import { transportError } from "./refusals.js";
import type { Session } from "./session.js";

const DEFAULT_TIMEOUT_MS = 5_000;

/** What the transports of one store share, but for the first. */
export interface MemoryTransportHost {
  readonly server: Session;
  readonly network: Network;
  readonly held: HeldMessages;
  /** The open streams of all clients. */
  readonly streams: Set<object>;
  log<V extends Verb>(verb: V, request: Requests[V]): void;
}

/** One client's way to a `MemoryEtcd`. */
export class MemoryTransport implements EtcdTransport {
  readonly #host: MemoryTransportHost;
  readonly #clock: Clock;
  readonly #links = new Set<Link>();
  #isClosed = false;

  constructor(host: MemoryTransportHost, clock: Clock) {
    this.#host = host;
    this.#clock = clock;
  }

  /** No call is under way, and no stream open. */
  get isIdle(): boolean {
    return this.#links.size === 0;
  }

  range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse> {
    const { server } = this.#host;
    return this.#call(
      "range",
      request,
      toRange,
      (asked) => {
        checkSize({ range: request });
        return server.range(asked);
      },
      options,
    );
  }

  txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse> {
    const { server } = this.#host;
    return this.#call(
      "txn",
      request,
      toTxn,
      (asked) => {
        checkSize({ txn: request });
        return fromTxn(server.txn(asked));
      },
      options,
    );
  }

  grant(request: GrantRequest, options?: CallOptions): Promise<GrantResponse> {
    const { server } = this.#host;
    return this.#call("grant", request, toGrant, (asked) => fromLease(server.grant(asked)), options);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<RevokeResponse> {
    const { server } = this.#host;
    return this.#call("revoke", { id }, toLease, (asked) => server.revoke(asked), options);
  }

  /** Asks for a token. */
  authenticate(request: AuthenticateRequest, options?: CallOptions): Promise<string> {
    const { authServer } = this.#host.server;
    const logged = { username: request.name };
    const answer = (asked: AuthenticateRequest): string => authServer.authenticate(asked, {}).token;
    return this.#call("authenticate", logged, () => request, answer, options);
  }

  keepAlive(
    handlers: StreamHandlers<KeepAliveResponse>,
    options?: CallOptions,
  ): Promise<DuplexStream<KeepAliveRequest>> {
    const { server, network, log } = this.#host;
    return this.#open("keepAlive", options, () => {
      const stream: MemoryStream<KeepAliveRequest, KeepAliveResponse> = new MemoryStream(
        network,
        handlers,
        {
          onSend: (request) => {
            toLease(request);
            log("renew", request);
          },
          onCancel: (suspect) => log("cancel", { stream: "keepAlive", suspect }),
          onClose: () => this.#forget(stream),
          onAnswer: (_response, deliver) => deliver(),
        },
        (emit) => ({
          receive: (request) => {
            if (network.takeDrop("renew")) return;
            const answer = fromLease(server.renew(request));
            if (!network.takeLoss("renew")) emit(answer);
          },
          close: () => {},
        }),
      );
      return stream;
    });
  }

  watch(handlers: StreamHandlers<WatchResponse>, options?: CallOptions): Promise<DuplexStream<WatchRequest>> {
    const { server, network, held, log } = this.#host;
    return this.#open("watch", options, () => {
      const stream: MemoryStream<WatchRequest, WatchResponse> = new MemoryStream(
        network,
        handlers,
        {
          onSend: (request) => {
            toWatch(request);
            log("watchRequest", request);
          },
          onCancel: (suspect) => log("cancel", { stream: "watch", suspect }),
          onClose: () => {
            held.drop(stream);
            this.#forget(stream);
          },
          onAnswer: (response, deliver) => held.offer(stream, response.events.length > 0, deliver),
        },
        (emit) => {
          const watches = server.openWatch((response) => emit(fromWatch(response)));
          return { receive: (request) => watches.receive(toWatch(request)), close: () => watches.close() };
        },
      );
      return stream;
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const link of [...this.#links]) link.fail(closed());
  }

  #forget(stream: Link): void {
    this.#links.delete(stream);
    this.#host.streams.delete(stream);
  }

  async #call<V extends AnswerVerb, Asked, Answer>(
    verb: V,
    request: Requests[V],
    write: (request: Requests[V]) => Asked,
    answer: (asked: Asked) => Answer,
    options?: CallOptions,
  ): Promise<Answer> {
    this.#checkOpen(options);
    const asked = write(request);
    const { network } = this.#host;
    return this.#send<V, Answer>(verb, request, options, network.post.bind(network), (resolve, reject) => {
      const outcome = attempt(() => answer(asked));
      const isLost = network.takeLoss(verb);
      network.post(() => {
        if (isLost) reject(connectionReset());
        else if ("error" in outcome) reject(outcome.error);
        else resolve(outcome.value);
      });
    });
  }

  #checkOpen({ signal }: CallOptions = {}): void {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closed();
  }

  /** Opening needs no answer of etcd: a stream to a frozen one opens, and stays silent. */
  async #open<Stream extends Link & DuplexStream<never>>(
    verb: "keepAlive" | "watch",
    options: CallOptions | undefined,
    open: () => Stream,
  ): Promise<Stream> {
    let stream: Stream | undefined;
    let isAbandoned = false;
    try {
      return await this.#send<typeof verb, Stream>(verb, undefined, options, queueMicrotask, (resolve) => {
        if (isAbandoned) return;
        stream = open();
        this.#links.add(stream);
        this.#host.streams.add(stream);
        resolve(stream);
      });
    } catch (error) {
      isAbandoned = true;
      stream?.cancel();
      throw error;
    }
  }

  /** Sends a request by `post`; calls `arrive` once it has reached etcd, unless something was in its way. */
  async #send<V extends RequestVerb, Answer>(
    verb: V,
    request: Requests[V],
    options: CallOptions = {},
    post: (step: () => void) => void,
    arrive: (resolve: (answer: Answer) => void, reject: (error: unknown) => void) => void,
  ): Promise<Answer> {
    this.#checkOpen(options);
    const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const { network, log } = this.#host;
    log(verb, request);
    let resolve: (answer: Answer) => void = () => {};
    let reject: (error: unknown) => void = () => {};
    const answer = new Promise<Answer>((onAnswer, onError) => {
      resolve = onAnswer;
      reject = onError;
    });
    let isBroken = false;
    const link: Link = {
      fail: (error) => {
        isBroken = true;
        reject(error);
      },
    };
    using _attached = network.attach(link);
    this.#links.add(link);
    if (network.isRefusing) {
      queueMicrotask(() => reject(connectionRefused()));
    } else {
      post(() => {
        if (isBroken) return;
        if (network.takeDrop(verb)) reject(connectionReset());
        else arrive(resolve, reject);
      });
    }
    try {
      return await waitFor(answer, {
        clock: this.#clock,
        timeoutMs,
        signal,
        onTimeout: () => transportError(4, `no answer in ${timeoutMs} ms`),
      });
    } finally {
      this.#links.delete(link);
    }
  }
}

function attempt<Value>(work: () => Value): { readonly value: Value } | { readonly error: unknown } {
  try {
    return { value: work() };
  } catch (error) {
    return { error };
  }
}

function closed(): SdError {
  return new SdError("SD_CLOSED", "the transport is closed");
}
