import {
  type CallOptions,
  type Clock,
  type DuplexStream,
  deferred,
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
  SdError,
  type StreamHandlers,
  type TxnRequest,
  type TxnResponse,
  type WatchRequest,
  type WatchResponse,
  waitFor,
} from "@sd/core";
import type { SeededRandom } from "@sd/testing";
import { LinkStream } from "./link-stream.js";
import type { Process } from "./process.js";
import { drawFate, fair, type Weather } from "./weather.js";

/** What a process asks of etcd, as it leaves it. */
export type Request =
  | { readonly verb: "range"; readonly request: RangeRequest }
  | { readonly verb: "txn"; readonly request: TxnRequest }
  | { readonly verb: "grant"; readonly request: GrantRequest }
  | { readonly verb: "revoke"; readonly request: { readonly id: LeaseId } }
  | { readonly verb: "keepAlive" | "watch"; readonly request: undefined }
  | { readonly verb: "renew"; readonly request: KeepAliveRequest }
  | { readonly verb: "watchRequest"; readonly request: WatchRequest };

export interface LinkOptions {
  readonly inner: EtcdTransport;
  readonly process: Process;
  readonly world: Clock;
  readonly random: SeededRandom;
  /** Told of each request as it leaves the process; what it returns is told when the call is over there. */
  readonly onRequest: (request: Request) => () => void;
  /** Told of each fault that it makes. */
  readonly onFault: (name: string) => void;
}

/** What is under way may take so long, though its sender has given up. */
const PATIENCE_MS = 30_000;
/** How late a late or repeated call may come. */
const LATE_MS = 3_000;

/** One process's way to etcd, with faults. */
export class Link implements EtcdTransport {
  readonly #options: LinkOptions;
  readonly #streams = new Set<LinkStream<never, never>>();
  readonly #pending = new Set<(error: unknown) => void>();
  #isClosed = false;
  weather: Weather = fair;
  /** New calls and streams fail at once. */
  isRefusing = false;
  /** So many renewals will not be answered, on a stream that stays. */
  renewalsToDrop = 0;
  #isBlackHole = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse> {
    return this.#call({ verb: "range", request }, options, (inner, with_) => inner.range(request, with_));
  }

  txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse> {
    return this.#call({ verb: "txn", request }, options, (inner, with_) => inner.txn(request, with_));
  }

  grant(request: GrantRequest, options?: CallOptions): Promise<GrantResponse> {
    return this.#call({ verb: "grant", request }, options, (inner, with_) => inner.grant(request, with_));
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<RevokeResponse> {
    return this.#call({ verb: "revoke", request: { id } }, options, (inner, with_) =>
      inner.revoke(id, with_),
    );
  }

  keepAlive(
    handlers: StreamHandlers<KeepAliveResponse>,
    options?: CallOptions,
  ): Promise<DuplexStream<KeepAliveRequest>> {
    return this.#open<KeepAliveRequest, KeepAliveResponse>("keepAlive", "renew", handlers, options);
  }

  watch(handlers: StreamHandlers<WatchResponse>, options?: CallOptions): Promise<DuplexStream<WatchRequest>> {
    const inParts = (response: WatchResponse): WatchResponse[] => this.#inParts(response);
    return this.#open<WatchRequest, WatchResponse>("watch", "watchRequest", handlers, options, inParts);
  }

  /** Breaks all that is under way, and every stream. */
  cut(): void {
    for (const stream of [...this.#streams]) stream.fail(reset());
    for (const fail of [...this.#pending]) fail(reset());
  }

  /** Nothing passes any more; what is open stays open, and stays mute even after the end. */
  blackHole(isOn: boolean): void {
    this.#isBlackHole = isOn;
    if (isOn) for (const stream of this.#streams) stream.mute();
  }

  /** The process is gone, and its sockets with it. */
  sever(): void {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) stream.cancel();
    for (const fail of [...this.#pending]) fail(closed());
  }

  async close(): Promise<void> {
    this.sever();
  }

  async #call<Answer>(
    request: Request,
    { signal, timeoutMs = 5_000 }: CallOptions = {},
    send: (inner: EtcdTransport, options: CallOptions) => Promise<Answer>,
  ): Promise<Answer> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closed();
    const { process, onRequest } = this.#options;
    const settled = onRequest(request);
    const answer = deferred<Answer>();
    answer.promise.catch(() => {});
    const fail = (error: unknown): void => process.run(() => answer.reject(error));
    this.#pending.add(fail);
    this.#carry(
      () => send(this.#options.inner, { timeoutMs: PATIENCE_MS }),
      (value) => process.run(() => answer.resolve(value)),
      fail,
    );
    try {
      return await waitFor(answer.promise, {
        clock: process,
        timeoutMs,
        signal,
        onTimeout: () => failure("timeout", `no answer in ${timeoutMs} ms`, 4),
      });
    } finally {
      this.#pending.delete(fail);
      settled();
    }
  }

  /** Takes a call to etcd and back, or does not. */
  #carry<Answer>(
    send: () => Promise<Answer>,
    succeed: (answer: Answer) => void,
    fail: (error: unknown) => void,
  ): void {
    const { random, onFault } = this.#options;
    if (this.isRefusing) this.#after(0, () => fail(refused()));
    if (this.isRefusing || this.#isBlackHole) return;
    const fate = drawFate(this.weather, random);
    if (fate !== "fine") onFault(fate);
    const there = this.#delay();
    const back = (step: () => void): void => this.#after(this.#delay(), step);
    const ignore = (): void => void send().catch(() => {});
    switch (fate) {
      case "dropped":
        this.#after(there, () => fail(reset()));
        return;
      case "late":
        this.#after(there + random.next() * LATE_MS, ignore);
        this.#after(there, () => fail(reset()));
        return;
      case "stalled":
        if (random.next() < 0.5) this.#after(there, ignore);
        return;
      case "repeated":
        this.#after(there + random.next() * LATE_MS, ignore);
    }
    this.#after(there, () => {
      send().then(
        (answer) => back(() => (fate === "lost" ? fail(reset()) : succeed(answer))),
        (error) => back(() => fail(error)),
      );
    });
  }

  async #open<Out, In>(
    verb: "keepAlive" | "watch",
    message: "renew" | "watchRequest",
    handlers: StreamHandlers<In>,
    { signal, timeoutMs = 5_000 }: CallOptions = {},
    inParts: (message: In) => readonly In[] = (each) => [each],
  ): Promise<DuplexStream<Out>> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closed();
    const { process, inner, world, onRequest } = this.#options;
    onRequest({ verb, request: undefined })();
    const stream: LinkStream<Out, In> = new LinkStream<Out, In>({
      process,
      world,
      handlers,
      inParts,
      delay: () => this.#delay(),
      isCut: () => this.#isCut(),
      isDropped: () => verb === "keepAlive" && this.renewalsToDrop > 0 && this.renewalsToDrop-- > 0,
      onSend: (request) => onRequest({ verb: message, request } as Request)(),
      onOver: () => void this.#streams.delete(stream as never),
    });
    this.#streams.add(stream as never);
    const opened = deferred<DuplexStream<Out>>();
    opened.promise.catch(() => {});
    const open = inner[verb] as unknown as (
      handlers: StreamHandlers<In>,
      options: CallOptions,
    ) => Promise<DuplexStream<Out>>;
    if (this.isRefusing) {
      this.#after(0, () => process.run(() => opened.reject(refused())));
    } else if (!this.#isBlackHole) {
      this.#after(this.#delay(), () => {
        open.call(inner, stream.fromEtcd, { timeoutMs: PATIENCE_MS }).then(
          (duplex) => {
            stream.attach(duplex);
            process.run(() => opened.resolve(stream));
          },
          (error) => process.run(() => opened.reject(error)),
        );
      });
    }
    try {
      return await waitFor(opened.promise, {
        clock: process,
        timeoutMs,
        signal,
        onTimeout: () => failure("timeout", `no stream in ${timeoutMs} ms`, 4),
      });
    } catch (error) {
      stream.cancel();
      throw error;
    }
  }

  /** Splits a message as etcd splits one of many events: before any of them, also within a revision. */
  #inParts(response: WatchResponse): WatchResponse[] {
    const { random, onFault } = this.#options;
    const { events } = response;
    const { fragmented } = this.weather;
    if (events.length < 2 || fragmented === 0 || random.next() >= fragmented) return [response];
    onFault("fragments");
    const middle = 1 + random.below(events.length - 1);
    return [
      { ...response, events: events.slice(0, middle), fragment: true },
      { ...response, events: events.slice(middle) },
    ];
  }

  #isCut(): boolean {
    if (this.weather.cut === 0 || this.#options.random.next() >= this.weather.cut) return false;
    this.#options.onFault("stream cut");
    return true;
  }

  #delay(): number {
    const { delayMs } = this.weather;
    return delayMs === 0 ? 0 : Math.floor(this.#options.random.next() * delayMs);
  }

  #after(delayMs: number, step: () => void): void {
    if (delayMs === 0) queueMicrotask(step);
    else this.#options.world.setTimer(delayMs, step);
  }
}

function failure(kind: "network" | "timeout", message: string, status: number, isSent = true): SdError {
  return failureError(new EtcdFailure(kind, message, { status, isSent }));
}

function reset(): SdError {
  return failure("network", "read ECONNRESET", 14);
}

function refused(): SdError {
  return failure("network", "connect ECONNREFUSED", 14, false);
}

function closed(): SdError {
  return new SdError("SD_CLOSED", "the transport is closed");
}
