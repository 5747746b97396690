import {
  asTokenError,
  type CallOptions,
  type DuplexStream,
  EtcdFailure,
  type EtcdTransport,
  failureError,
  type GrantRequest,
  type GrantResponse,
  type KeepAliveRequest,
  type KeepAliveResponse,
  type LeaseId,
  type RangeRequest,
  type RangeResponse,
  type RevokeResponse,
  reasonWantsToken,
  SdError,
  type StreamHandlers,
  type Token,
  Tokens,
  type TxnRequest,
  type TxnResponse,
  type WatchRequest,
  type WatchResponse,
  waitFor,
  wantsToken,
} from "@sd/core";
import type { MemoryTransport } from "./memory-transport.js";
import { MEMORY_ENDPOINT } from "./refusals.js";

/** Name and password of a user. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/**
 * One user's way to a `MemoryEtcd`: authenticates when it has to, as the adapter to a real etcd does.
 *
 * All who wait for a token share one request. A call that was refused for its token is sent once more with a
 * new one; a stream whose token is refused ends.
 */
export class AuthenticatedTransport implements EtcdTransport {
  readonly #tokens: Tokens;
  readonly #open: (token: Token) => MemoryTransport;
  /** The last is in use; streams of the others may go on. */
  readonly #opened = new Map<Token, MemoryTransport>();
  #isClosed = false;

  /** @param open makes the way for one token. */
  constructor({ username, password }: Credentials, open: (token: Token) => MemoryTransport) {
    this.#open = open;
    this.#tokens = new Tokens(() => this.#with(undefined).authenticate({ name: username, password }));
  }

  range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse> {
    return this.#call((transport) => transport.range(request, options), options);
  }

  txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse> {
    return this.#call((transport) => transport.txn(request, options), options);
  }

  grant(request: GrantRequest, options?: CallOptions): Promise<GrantResponse> {
    return this.#call((transport) => transport.grant(request, options), options);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<RevokeResponse> {
    return this.#call((transport) => transport.revoke(id, options), options);
  }

  async keepAlive(
    handlers: StreamHandlers<KeepAliveResponse>,
    options?: CallOptions,
  ): Promise<DuplexStream<KeepAliveRequest>> {
    const token = await this.#token(options);
    return this.#with(token).keepAlive(this.#listening(token, handlers), options);
  }

  async watch(
    handlers: StreamHandlers<WatchResponse>,
    options?: CallOptions,
  ): Promise<DuplexStream<WatchRequest>> {
    const token = await this.#token(options);
    const { onMessage, onEnd } = this.#listening(token, handlers);
    const stream = await this.#with(token).watch(
      {
        onEnd,
        onMessage: (response) => {
          const { canceled, cancelReason } = response;
          if (!canceled || !reasonWantsToken(cancelReason)) return onMessage(response);
          // The stream keeps the token that it was opened with: it would refuse every further watch as well.
          stream.cancel();
          const failure = new EtcdFailure("token", cancelReason, { endpoint: MEMORY_ENDPOINT });
          this.#tokens.refuse(token);
          handlers.onEnd(failureError(failure));
        },
      },
      options,
    );
    return stream;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#opened.values()].map((each) => each.close()));
  }

  async #call<Answer>(
    send: (transport: MemoryTransport) => Promise<Answer>,
    options: CallOptions | undefined,
  ): Promise<Answer> {
    const token = await this.#token(options);
    try {
      return await send(this.#with(token));
    } catch (error) {
      if (!wantsToken(error)) throw error;
      this.#tokens.refuse(token);
      return await send(this.#with(await this.#token(options)));
    }
  }

  async #token({ signal }: CallOptions = {}): Promise<Token> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new SdError("SD_CLOSED", "the transport is closed");
    return this.#tokens.get({ wait: (work) => waitFor(work, { signal }) });
  }

  #with(token: Token): MemoryTransport {
    const known = this.#opened.get(token);
    if (known) return known;
    for (const [old, transport] of this.#opened) if (transport.isIdle) this.#opened.delete(old);
    const transport = this.#open(token);
    this.#opened.set(token, transport);
    return transport;
  }

  /** Hears of the end of a stream before its owner does. */
  #listening<Response>(
    token: Token,
    { onMessage, onEnd }: StreamHandlers<Response>,
  ): StreamHandlers<Response> {
    return {
      onMessage,
      onEnd: (error) => {
        if (!wantsToken(error)) return onEnd(error);
        this.#tokens.refuse(token);
        onEnd(asTokenError(error, MEMORY_ENDPOINT));
      },
    };
  }
}
