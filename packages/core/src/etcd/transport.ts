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
} from "./types.js";

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** From when the call is sent; connecting is bounded by itself. Default 5000. */
  readonly timeoutMs?: number | undefined;
  /** Called when the request goes out, which may be long after the call on a slow link. */
  readonly onSent?: (() => void) | undefined;
  /** Asks another member than the one that would be asked first, if there is one: for a second opinion. */
  readonly elsewhere?: boolean | undefined;
}

/** What a stream tells its owner. Nothing is called after `onEnd`, nor after `cancel()`. */
export interface StreamHandlers<Response> {
  /** Called in the order of arrival, synchronously from the socket's read. */
  onMessage(response: Response): void;
  /** The stream is over, with the reason as an `SdError`. Called once, unless the owner canceled first. */
  onEnd(error: unknown): void;
}

/** An open two-way stream to one etcd member. */
export interface DuplexStream<Request> {
  /** The member's address as configured. */
  readonly endpoint: string;
  /** At most how long a message takes there and back, in milliseconds, as measured so far. Absent: no time. */
  readonly roundTripMs?: number;
  /** Sends in order; silently dropped once the stream is over. */
  send(request: Request): void;
  /**
   * Ends the stream at once and for good.
   *
   * @param suspect the member is why: it did not answer. It is asked last from now on, and its connection
   *   is not used again.
   */
  cancel(options?: { readonly suspect?: boolean }): void;
}

/**
 * The port to etcd: four calls and two streams. Everything above is written against this.
 *
 * - Every call is bounded by `timeoutMs`, and by `signal` (rejects with its reason).
 * - A call is sent at most once. Before it is sent, unreachable members are passed over.
 * - A request that cannot be written rejects with `SD_INVALID_ARGUMENT` and is not sent. An answer that cannot
 *   be read rejects with `SD_INVARIANT`; what was asked may have been done. Neither has an `EtcdFailure` as
 *   its `cause`, nor has `SD_CLOSED`.
 * - Every other failure is an `SdError` whose `cause` is an `EtcdFailure`; see `failureOf()`.
 * - After `close()` everything rejects with `SD_CLOSED`.
 */
export interface EtcdTransport {
  range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse>;
  txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse>;
  grant(request: GrantRequest, options?: CallOptions): Promise<GrantResponse>;
  revoke(id: LeaseId, options?: CallOptions): Promise<RevokeResponse>;
  /** Opens a stream of lease renewals. Resolves once it can be written to. */
  keepAlive(
    handlers: StreamHandlers<KeepAliveResponse>,
    options?: CallOptions,
  ): Promise<DuplexStream<KeepAliveRequest>>;
  /** Opens a stream of watches. Resolves once it can be written to. */
  watch(handlers: StreamHandlers<WatchResponse>, options?: CallOptions): Promise<DuplexStream<WatchRequest>>;
  /** Ends all calls, streams and connections. Idempotent. */
  close(): Promise<void>;
}
