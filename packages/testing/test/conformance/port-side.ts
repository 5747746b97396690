import { setTimeout as pause } from "node:timers/promises";
import {
  type DuplexStream,
  EtcdFailure,
  type EtcdTransport,
  type KeepAliveRequest,
  type KeepAliveResponse,
  SdError,
  type WatchRequest,
  type WatchResponse,
} from "@sd/core";
import type { AlarmRequest } from "../../src/memory/api/cluster.js";
import type { CompactionRequest } from "../../src/memory/api/kv.js";
import type { PortStep } from "./port-steps.js";

/** Does to a server what the port cannot. */
export interface Operator {
  compact(request: CompactionRequest): unknown;
  alarm(request: AlarmRequest): unknown;
}

/** One of the transports that are compared. */
export class PortSide {
  readonly #transport: EtcdTransport;
  readonly #operator: Operator;
  readonly #renewed: KeepAliveResponse[] = [];
  #renewals: DuplexStream<KeepAliveRequest> | undefined;
  #watches: DuplexStream<WatchRequest> | undefined;
  #watched: WatchResponse[] = [];

  constructor(transport: EtcdTransport, operator: Operator) {
    this.#transport = transport;
    this.#operator = operator;
  }

  /** What the stream of watches was told. */
  get watched(): readonly WatchResponse[] {
    return this.#watched;
  }

  /** Answers with what the port said; of a refusal, with what callers can rely on. */
  async take(step: PortStep): Promise<unknown> {
    try {
      return await this.#take(step);
    } catch (error) {
      return outcomeOf(error);
    }
  }

  /** Ends the stream of watches; the next one begins anew. */
  forgetWatches(): void {
    this.#watches?.cancel();
    this.#watches = undefined;
    this.#watched = [];
  }

  async #take(step: PortStep): Promise<unknown> {
    if ("range" in step) return this.#transport.range(step.range);
    if ("txn" in step) return this.#transport.txn(step.txn);
    if ("grant" in step) return this.#transport.grant(step.grant);
    if ("revoke" in step) return this.#transport.revoke(step.revoke.id);
    if ("renew" in step) return this.#renew(step.renew);
    if ("watch" in step) return this.#watch(step.watch);
    if ("compact" in step) return this.#operator.compact(step.compact);
    if ("alarm" in step) return this.#operator.alarm(step.alarm);
    await pause(step.pause);
    return undefined;
  }

  async #renew(request: KeepAliveRequest): Promise<unknown> {
    const messages = this.#renewed;
    this.#renewals ??= await this.#transport.keepAlive({
      onMessage: (message) => messages.push(message),
      onEnd: () => {},
    });
    const before = messages.length;
    this.#renewals.send(request);
    await until(() => messages.length > before);
    return messages[before];
  }

  /** Waits for what answers a creation or a cancellation, so that what follows is after it. */
  async #watch(request: WatchRequest): Promise<void> {
    const messages = this.#watched;
    this.#watches ??= await this.#transport.watch({
      onMessage: (message) => messages.push(message),
      onEnd: () => {},
    });
    const count = (what: "created" | "canceled") => messages.filter((message) => message[what]).length;
    const [created, canceled] = [count("created"), count("canceled")];
    this.#watches.send(request);
    if (request.type === "create") await until(() => count("created") > created);
    if (request.type === "cancel" && this.#isOpen(request.watchId))
      await until(() => count("canceled") > canceled);
  }

  #isOpen(watchId: number): boolean {
    const own = this.#watched.filter((message) => message.watchId === watchId);
    return own.some(({ created }) => created) && !own.some(({ canceled }) => canceled);
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (let waited = 0; !isSo() && waited < 5_000; waited += 1) await pause(1);
}

function outcomeOf(error: unknown): unknown {
  if (!SdError.is(error)) return error;
  const { code, retryable, cause } = error;
  const said = (text: string) => text.replace(/\(\d+ vs/, "(its size vs");
  if (!(cause instanceof EtcdFailure)) return { code, retryable, refused: "before it was sent" };
  return {
    code,
    retryable,
    kind: cause.kind,
    status: cause.status,
    said: said(cause.message),
    isSent: cause.isSent,
  };
}
