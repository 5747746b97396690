import { setTimeout as pause } from "node:timers/promises";
import type { LeaseKeepAliveResponse, LeaseRequest } from "../../src/memory/api/lease.js";
import type { WatchRequest, WatchResponse } from "../../src/memory/api/watch.js";
import { methods, RawClient, type RawStream, type Refused } from "../raw-client.js";
import type { Step } from "./steps.js";

/** One of the servers that are compared, spoken to over gRPC. */
export class ConformanceServer {
  readonly #client: RawClient;
  #renewals: RawStream<LeaseRequest, LeaseKeepAliveResponse> | undefined;
  #watches: RawStream<WatchRequest, WatchResponse> | undefined;

  constructor(endpoint: string) {
    this.#client = new RawClient(endpoint);
  }

  /** What the stream of watches was told. */
  get watched(): readonly WatchResponse[] {
    return this.#watches?.messages ?? [];
  }

  /** Answers with what the server said, a refusal included. */
  async take(step: Step): Promise<unknown> {
    try {
      return await this.#take(step);
    } catch (error) {
      return { refused: error as Refused };
    }
  }

  /** Ends the stream of watches; the next one begins anew. */
  forgetWatches(): void {
    this.#watches?.cancel();
    this.#watches = undefined;
  }

  close(): void {
    this.#renewals?.cancel();
    this.forgetWatches();
    this.#client.close();
  }

  async #take(step: Step): Promise<unknown> {
    const client = this.#client;
    if ("range" in step) return client.call(methods.KV.range, step.range);
    if ("put" in step) return client.call(methods.KV.put, step.put);
    if ("deleteRange" in step) return client.call(methods.KV.deleteRange, step.deleteRange);
    if ("txn" in step) return client.call(methods.KV.txn, step.txn);
    if ("compact" in step) return client.call(methods.KV.compact, step.compact);
    if ("grant" in step) return client.call(methods.Lease.grant, step.grant);
    if ("revoke" in step) return client.call(methods.Lease.revoke, step.revoke);
    if ("timeToLive" in step) return client.call(methods.Lease.timeToLive, step.timeToLive);
    if ("leases" in step) return client.call(methods.Lease.leases, {});
    if ("alarm" in step) return client.call(methods.Maintenance.alarm, step.alarm);
    if ("status" in step) return client.call(methods.Maintenance.status, {});
    if ("renew" in step) return this.#renew(step.renew);
    if ("watch" in step) return this.#watch(step.watch);
    await pause(step.pause);
    return undefined;
  }

  async #renew(request: LeaseRequest): Promise<unknown> {
    this.#renewals ??= this.#client.open(methods.Lease.keepAlive);
    const { messages } = this.#renewals;
    const before = messages.length;
    this.#renewals.send(request);
    for (let waited = 0; messages.length === before && waited < 5_000; waited += 1) await pause(1);
    return messages[before];
  }

  /** Waits for what answers a creation, so that what follows is live for it. */
  async #watch(request: WatchRequest): Promise<void> {
    this.#watches ??= this.#client.open(methods.Watch.watch);
    const { messages } = this.#watches;
    const answers = () => messages.filter(({ created }) => created).length;
    const before = answers();
    this.#watches.send(request);
    if (request.create) {
      for (let waited = 0; answers() === before && waited < 5_000; waited += 1) await pause(1);
    }
  }
}
