import { Metadata } from "@grpc/grpc-js";
import { Turns } from "../../kit/turns.js";
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
import { asTokenError, closedError, reasonWantsToken, tokenError, wantsToken } from "./failures.js";
import type { Link } from "./first-ready.js";
import type { LaneName } from "./lane.js";
import { Members } from "./members.js";
import type { Method } from "./methods.js";
import * as methods from "./methods.js";
import { type Etcd3TransportOptions, type Settings, settle } from "./options.js";
import { EtcdStream } from "./stream.js";
import { type Token, Tokens } from "./token.js";
import { callOnce } from "./unary.js";

export type { Etcd3Credentials, Etcd3TransportOptions } from "./options.js";

/** As many as keep etcd busy: of thousands at once, the last would wait for their answers past their time. */
const MAX_CALLS = 256;

/**
 * Makes the transport to a real etcd, on the npm packages `etcd3` and `@grpc/grpc-js`. No I/O: it connects
 * when it is first used.
 *
 * - Calls, renewals and watches have a connection each, made when wanted.
 * - Members are asked in random order, the next one a moment after the one before; one that fails or falls
 *   silent is asked last, never given up.
 * - A call is sent once. Only if etcd refused its token, and so did nothing, it is sent again with a new one.
 * - Connecting, TLS and HTTP/2 included, is bounded by `connectTimeoutMs` for each member, a call by its
 *   `timeoutMs` from then on. Of calls, 256 are under way at once; the others take their turn.
 * - After `close()` no socket and no timer is left, but for 0.7 s the one that looks out for a last attempt of
 *   grpc-js, if it was connecting.
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
  readonly #turns = new Turns(MAX_CALLS);
  readonly #pending = new Set<Bounds>();
  readonly #streams = new Set<{ end(error: unknown): void }>();
  #closing: Promise<void> | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#members = new Members(settings);
    const { auth } = settings;
    this.#tokens = new Tokens(auth && (() => this.#call(methods.authenticate, auth)), settings.clock);
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
    return this.#open("renewals", methods.keepAlive, handlers, options);
  }

  watch(handlers: StreamHandlers<WatchResponse>, options?: CallOptions): Promise<DuplexStream<WatchRequest>> {
    return this.#open("watches", methods.watch, handlers, options, ({ canceled, cancelReason }, endpoint) => {
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
    const { clock, callTimeoutMs } = this.#settings;
    const request = method.encode(message);
    const send = async (token: Token): Promise<Response> => {
      using _turn = this.#turns.tryTake() ?? (await this.#turns.take(bounds.signal));
      bounds.throwIfOver();
      const ask = (link: Link): Promise<Buffer> => {
        const { roundTripMs, openedAt } = link.connection;
        const timeoutMs = options.timeoutMs ?? callTimeoutMs + roundTripMs;
        const onTimeout = (): void => this.#tokens.doubt(token, openedAt);
        options.onSent?.();
        const call = { path: method.path, request, metadata: metadata(token), timeoutMs, onTimeout };
        return callOnce(link, call, clock, bounds);
      };
      return method.decode(await this.#connected("calls", bounds, ask, options.elsewhere));
    };
    if (method.path === methods.authenticate.path) return await send(undefined);
    if (!this.#tokens.isConfigured) return await send(undefined);
    const token = await this.#tokens.get(bounds);
    try {
      return await send(token);
    } catch (error) {
      if (!wantsToken(error)) throw error;
      this.#tokens.refuse(token);
      return await send(await this.#tokens.get(bounds));
    }
  }

  async #open<Request, Response>(
    lane: LaneName,
    method: Method<Request, Response>,
    handlers: StreamHandlers<Response>,
    options: CallOptions = {},
    inspect: (response: Response, endpoint: string) => unknown = () => undefined,
  ): Promise<DuplexStream<Request>> {
    using bounds = this.#bounds(options);
    const token = await this.#tokens.get(bounds);
    const attached = metadata(token);
    // Else a member that lost the others would leave the stream silent instead of ending it.
    attached.set("hasleader", "true");
    return await this.#connected(lane, bounds, (link) => {
      bounds.throwIfOver();
      const { endpoint, openedAt } = link.connection;
      const stream: EtcdStream<Request, Response> = new EtcdStream(link, {
        method,
        metadata: attached,
        handlers,
        inspect: (response) => inspect(response, endpoint),
        // Opened before etcd wanted a token, or with an old one: there is nothing to wait for, the next has a new one.
        toldAs: (error) =>
          this.#tokens.isConfigured && wantsToken(error) ? asTokenError(error, endpoint) : error,
        onSilent: () => this.#tokens.doubt(token, openedAt),
        onOver: (error) => {
          this.#streams.delete(stream);
          if (wantsToken(error)) this.#tokens.refuse(token);
        },
      });
      this.#streams.add(stream);
      return stream;
    });
  }

  /** Uses a connection in the turn in which it is ready: in the next it may be closed, and grpc-js throws. */
  #connected<Result>(
    lane: LaneName,
    bounds: Bounds,
    use: (link: Link) => Result | Promise<Result>,
    elsewhere = false,
  ): Result | Promise<Result> {
    const link = this.#members.ready(lane, elsewhere);
    return link?.connection.isReady ? use(link) : this.#connecting(lane, bounds, use, elsewhere);
  }

  async #connecting<Result>(
    lane: LaneName,
    bounds: Bounds,
    use: (link: Link) => Result | Promise<Result>,
    elsewhere: boolean,
  ): Promise<Result> {
    for (;;) {
      const link = await this.#members.connect(lane, bounds, elsewhere);
      if (link.connection.isReady) return await use(link);
    }
  }

  #bounds({ signal }: CallOptions): Bounds {
    signal?.throwIfAborted();
    if (this.#closing) throw closedError();
    return new Bounds(signal, { among: this.#pending });
  }
}

function metadata(token: Token): Metadata {
  const attached = new Metadata();
  if (token !== undefined) attached.set("token", token);
  return attached;
}
