import { Metadata } from "@grpc/grpc-js";
import type { CallOptions, DuplexStream, EtcdTransport, StreamHandlers } from "../transport.js";
import type {
  GrantRequest,
  GrantResponse,
  KeepAliveRequest,
  KeepAliveResponse,
  LeaseId,
  RangeRequest,
  RangeResponse,
  RevokeResponse,
  TxnRequest,
  TxnResponse,
  WatchRequest,
  WatchResponse,
} from "../types.js";
import { Bounds } from "./bounds.js";
import { closedError, reasonWantsToken, tokenError, wantsToken } from "./failures.js";
import { Members } from "./members.js";
import type { Method } from "./methods.js";
import * as methods from "./methods.js";
import { type Etcd3TransportOptions, type Settings, settle } from "./options.js";
import { EtcdStream } from "./stream.js";
import { type Token, Tokens } from "./token.js";
import { callOnce } from "./unary.js";

export type { Etcd3Credentials, Etcd3TransportOptions } from "./options.js";

/**
 * Makes the transport to a real etcd, on the npm packages `etcd3` and `@grpc/grpc-js`. No I/O: it connects
 * when it is first used.
 *
 * - Calls and streams have a connection each to a member, at most one of each kind, made when wanted.
 * - Members are asked in random order; one that fails or falls silent is asked last, never given up.
 * - A call is sent once. Only if etcd refused its token, and so did nothing, it is sent again with a new one.
 * - Connecting, TLS and HTTP/2 included, is bounded by `connectTimeoutMs`, each call by its `timeoutMs`.
 * - After `close()` no socket and no timer is left.
 *
 * @throws SdError `SD_INVALID_ARGUMENT`
 */
export function createEtcd3Transport(options: Etcd3TransportOptions): EtcdTransport {
  return new Etcd3Transport(settle(options));
}

class Etcd3Transport implements EtcdTransport {
  readonly #settings: Settings;
  readonly #members: Members;
  readonly #tokens: Tokens;
  readonly #pending = new Set<Bounds>();
  readonly #streams = new Set<{ end(error: unknown): void }>();
  #closing: Promise<void> | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#members = new Members(settings);
    const { auth } = settings;
    this.#tokens = new Tokens(auth && (() => this.#call(methods.authenticate, auth)));
  }

  range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse> {
    return this.#call(methods.range, request, options);
  }

  txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse> {
    return this.#call(methods.txn, request, options);
  }

  grant(request: GrantRequest, options?: CallOptions): Promise<GrantResponse> {
    return this.#call(methods.grant, request, options);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<RevokeResponse> {
    return this.#call(methods.revoke, id, options);
  }

  keepAlive(
    handlers: StreamHandlers<KeepAliveResponse>,
    options?: CallOptions,
  ): Promise<DuplexStream<KeepAliveRequest>> {
    return this.#open(methods.keepAlive, handlers, options);
  }

  watch(handlers: StreamHandlers<WatchResponse>, options?: CallOptions): Promise<DuplexStream<WatchRequest>> {
    return this.#open(methods.watch, handlers, options, ({ canceled, cancelReason }, endpoint) => {
      // The stream keeps the token that it was opened with: it would refuse every further watch as well.
      const isStale = canceled && this.#tokens.isConfigured && reasonWantsToken(cancelReason);
      return isStale ? tokenError(cancelReason, endpoint) : undefined;
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const bounds of [...this.#pending]) bounds.abort(closedError());
    for (const stream of [...this.#streams]) stream.end(closedError());
    await this.#members.close();
  }

  async #call<Request, Response>(
    method: Method<Request, Response>,
    message: Request,
    options: CallOptions = {},
  ): Promise<Response> {
    using bounds = this.#bounds(options);
    const request = method.encode(message);
    const send = async (token: Token): Promise<Response> => {
      let link = await this.#members.connect("calls", bounds, options.elsewhere);
      while (!link.connection.isReady) link = await this.#members.connect("calls", bounds, options.elsewhere);
      const call = { path: method.path, request, metadata: metadata(token) };
      return method.decode(await callOnce(link, call, this.#settings.clock, bounds));
    };
    if (method.path === methods.authenticate.path) return await send(undefined);
    const token = await this.#tokens.get(bounds);
    try {
      return await send(token);
    } catch (error) {
      if (!this.#tokens.isConfigured || !wantsToken(error)) throw error;
      this.#tokens.refuse(token);
      return await send(await this.#tokens.get(bounds));
    }
  }

  async #open<Request, Response>(
    method: Method<Request, Response>,
    handlers: StreamHandlers<Response>,
    options: CallOptions = {},
    inspect: (response: Response, endpoint: string) => unknown = () => undefined,
  ): Promise<DuplexStream<Request>> {
    using bounds = this.#bounds(options);
    const token = await this.#tokens.get(bounds);
    let link = await this.#members.connect("streams", bounds);
    while (!link.connection.isReady) link = await this.#members.connect("streams", bounds);
    const attached = metadata(token);
    // Else a member that lost the others would leave the stream silent instead of ending it.
    attached.set("hasleader", "true");
    bounds.signal.throwIfAborted();
    const stream: EtcdStream<Request, Response> = new EtcdStream(link, {
      method,
      metadata: attached,
      handlers,
      inspect: (response) => inspect(response, link.connection.endpoint),
      onOver: (error) => {
        this.#streams.delete(stream);
        if (wantsToken(error)) this.#tokens.refuse(token);
      },
    });
    this.#streams.add(stream);
    return stream;
  }

  #bounds({ signal, timeoutMs }: CallOptions): Bounds {
    signal?.throwIfAborted();
    if (this.#closing) throw closedError();
    const { clock, callTimeoutMs } = this.#settings;
    return new Bounds(clock, { signal, timeoutMs: timeoutMs ?? callTimeoutMs }, { among: this.#pending });
  }
}

function metadata(token: Token): Metadata {
  const attached = new Metadata();
  if (token !== undefined) attached.set("token", token);
  return attached;
}
