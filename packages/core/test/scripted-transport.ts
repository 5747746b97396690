import { EtcdFailure, type FailureKind, failureError } from "../src/etcd/failure.js";
import type { CallOptions, DuplexStream, EtcdTransport, StreamHandlers } from "../src/etcd/transport.js";
import type {
  GrantRequest,
  GrantResponse,
  Header,
  KeepAliveRequest,
  KeepAliveResponse,
  RangeResponse,
  RevokeResponse,
  TxnResponse,
  WatchEvent,
  WatchRequest,
  WatchResponse,
} from "../src/etcd/types.js";
import { bytes } from "./observe.js";

export const header = (revision: number): Header => ({ clusterId: 1n, memberId: 1n, revision, raftTerm: 1n });

/** An error as a transport throws it. */
export const failure = (kind: FailureKind) => failureError(new EtcdFailure(kind, `scripted: ${kind}`));

/** A put, or a delete if it has no value, as an event of etcd. */
export function event(key: string, modRevision: number, value?: string): WatchEvent {
  const common = { key: bytes(key), modRevision, lease: 0n };
  return value === undefined
    ? { type: "delete", kv: { ...common, value: bytes(""), createRevision: 0, version: 0 } }
    : { type: "put", kv: { ...common, value: bytes(value), createRevision: modRevision, version: 1 } };
}

/** A message of a watch stream; what is not given is empty. */
export function message(watchId: number, revision: number, part: Partial<WatchResponse> = {}): WatchResponse {
  return {
    header: header(revision),
    watchId,
    created: false,
    canceled: false,
    compactRevision: 0,
    cancelReason: "",
    fragment: false,
    events: [],
    ...part,
  };
}

/** One stream whose other end is the test. */
export class ScriptedStream<Request, Response> implements DuplexStream<Request> {
  readonly endpoint = "scripted";
  readonly sent: Request[] = [];
  /** How the client left it; `undefined` while it is open. */
  canceled: { readonly suspect: boolean } | undefined;
  /** Whether either end has ended it. */
  isOver = false;
  readonly #handlers: StreamHandlers<Response>;
  readonly #encode: (request: Request) => void;

  constructor(
    handlers: StreamHandlers<Response>,
    encode: (request: Request) => void,
    readonly roundTripMs: number,
  ) {
    this.#handlers = handlers;
    this.#encode = encode;
  }

  send(request: Request): void {
    this.#encode(request);
    if (!this.isOver) this.sent.push(request);
  }

  cancel({ suspect = false }: { readonly suspect?: boolean } = {}): void {
    if (this.isOver) return;
    this.isOver = true;
    this.canceled = { suspect };
  }

  /** Says `response`, unless the stream is over. */
  say(response: Response): void {
    if (!this.isOver) this.#handlers.onMessage(response);
  }

  fail(error: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#handlers.onEnd(error);
  }
}

/** A transport whose etcd is played by the test, message by message. Grants the TTL that is asked for. */
export class ScriptedTransport implements EtcdTransport {
  readonly watchStreams: ScriptedStream<WatchRequest, WatchResponse>[] = [];
  readonly keepAliveStreams: ScriptedStream<KeepAliveRequest, KeepAliveResponse>[] = [];
  /** Waited for before each stream opens. */
  opening: () => Promise<void> = async () => {};
  /** What streams say of their link. */
  roundTripMs = 0;
  /** Called with each request of a stream; throws for one that cannot be encoded. */
  encode: (request: WatchRequest | KeepAliveRequest) => void = () => {};

  /** The newest stream of watches. */
  get watchStream(): ScriptedStream<WatchRequest, WatchResponse> {
    return newest(this.watchStreams);
  }

  /** The newest stream of renewals. */
  get keepAliveStream(): ScriptedStream<KeepAliveRequest, KeepAliveResponse> {
    return newest(this.keepAliveStreams);
  }

  async watch(handlers: StreamHandlers<WatchResponse>, _options?: CallOptions) {
    await this.opening();
    return added(
      this.watchStreams,
      new ScriptedStream<WatchRequest, WatchResponse>(handlers, this.encode, this.roundTripMs),
    );
  }

  async keepAlive(handlers: StreamHandlers<KeepAliveResponse>, _options?: CallOptions) {
    await this.opening();
    return added(
      this.keepAliveStreams,
      new ScriptedStream<KeepAliveRequest, KeepAliveResponse>(handlers, this.encode, this.roundTripMs),
    );
  }

  async grant({ id, ttlSeconds }: GrantRequest): Promise<GrantResponse> {
    return { header: header(1), id, ttlSeconds };
  }

  async revoke(): Promise<RevokeResponse> {
    throw failure("network");
  }

  async range(): Promise<RangeResponse> {
    throw failure("network");
  }

  async txn(): Promise<TxnResponse> {
    throw failure("network");
  }

  async close(): Promise<void> {}
}

function newest<T>(all: readonly T[]): T {
  const last = all.at(-1);
  if (last === undefined) throw new Error("no stream was opened");
  return last;
}

function added<T>(all: T[], one: T): T {
  all.push(one);
  return one;
}
