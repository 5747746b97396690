import type { DuplexStream, EtcdTransport } from "../etcd/transport.js";
import type { KeepAliveRequest, KeepAliveResponse, LeaseId } from "../etcd/types.js";
import { Backoff } from "../kit/backoff.js";
import { publish } from "../kit/channels.js";
import { type Clock, sleep } from "../kit/clock.js";
import { deferred } from "../kit/deferred.js";
import { SdError } from "../kit/errors.js";
import { type Random, uniform } from "../kit/random.js";
import { Schedule } from "../kit/schedule.js";
import type { Lease } from "./lease.js";

/** How long a member may keep us waiting for an answer, if the TTL allows it. */
const MAX_ANSWER_MS = 3_000;
/** Else this part of the TTL: with a renewal 10 % late, a silent stream is left after two thirds (R16). */
const ANSWER_SHARE = 0.3;
/** The longest pause between two streams; a third of the shortest TTL if that is less. */
const MAX_PAUSE_MS = 1_500;
/** Renewals due so close together are sent together. */
const SLACK_MS = 50;

const thirdOf = (lease: Lease): number => (lease.ttlSeconds * 1_000) / 3;

/**
 * Renews all leases of a client on one stream.
 *
 * Each lease is renewed every third of its TTL, ±10 %, from a random first phase. A stream that ends, or
 * that leaves a renewal unanswered, is replaced on another member, for ever; nothing is lost with it but
 * time. The stream exists while there is a lease.
 */
export class KeepaliveHub {
  readonly #transport: EtcdTransport;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #leases = new Map<LeaseId, Lease>();
  /** For each lease the next thing to look at: its renewal, the answer to it, or its deadline. */
  readonly #schedule: Schedule<Lease>;
  readonly #abort = new AbortController();
  #stream: DuplexStream<KeepAliveRequest> | undefined;
  /** Leaves the current stream. */
  #leave: ((error: unknown, suspect: boolean) => void) | undefined;
  #loop: Promise<void> | undefined;
  #lastAnswerAt = 0;

  constructor(transport: EtcdTransport, clock: Clock, random: Random) {
    this.#transport = transport;
    this.#clock = clock;
    this.#random = random;
    this.#schedule = new Schedule(clock, SLACK_MS, (lease) => this.#serve(lease));
  }

  /** Starts to renew: an unproven lease at once, an active one at a random moment of its first third. */
  add(lease: Lease): void {
    if (this.#abort.signal.aborted) {
      lease.release();
      return;
    }
    const phase = lease.state.status === "unproven" ? 0 : uniform(this.#random, 0, thirdOf(lease));
    lease.renewAt = this.#clock.now() + phase;
    this.#leases.set(lease.id, lease);
    this.#serve(lease);
    this.#start();
  }

  /** Whether a lease with this id is being renewed. */
  has(id: LeaseId): boolean {
    return this.#leases.has(id);
  }

  /** Stops to renew. Called by the lease when it ends. */
  delete(lease: Lease): void {
    if (this.#leases.get(lease.id) !== lease) return;
    this.#leases.delete(lease.id);
    this.#schedule.delete(lease);
    if (this.#leases.size === 0) this.#leave?.(undefined, false);
  }

  /** Releases every lease and ends the stream. */
  async close(): Promise<void> {
    this.#abort.abort(new SdError("SD_CLOSED", "the client is closed"));
    for (const lease of [...this.#leases.values()]) lease.release();
    await this.#loop;
  }

  #start(): void {
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
      // A lease may have come in after the loop had seen that none was left.
      if (this.#leases.size > 0) this.#start();
    });
  }

  async #run(): Promise<void> {
    let backoff = this.#firstBackoff();
    while (this.#leases.size > 0) {
      const openedAt = this.#clock.now();
      const error = await this.#session();
      if (this.#leases.size === 0) return;
      publish("sd:keepalive:interrupted", () => ({ error, leases: this.#leases.size }));
      backoff = this.#lastAnswerAt > openedAt ? this.#firstBackoff() : backoff.next();
      await sleep(this.#clock, backoff.delayMs(this.#random), this.#abort.signal).catch(() => {});
    }
  }

  /** One stream, from its opening to its end. Resolves with the reason of the end. */
  async #session(): Promise<unknown> {
    const ended = deferred<unknown>();
    try {
      this.#stream = await this.#transport.keepAlive(
        { onMessage: (answer) => this.#receive(answer), onEnd: ended.resolve },
        { signal: this.#abort.signal },
      );
    } catch (error) {
      return error;
    }
    this.#leave = (error, suspect) => {
      this.#stream?.cancel({ suspect });
      ended.resolve(error);
    };
    if (this.#leases.size === 0) this.#leave(undefined, false);
    for (const lease of [...this.#leases.values()]) this.#serve(lease);
    const error = await ended.promise;
    this.#stream = undefined;
    this.#leave = undefined;
    for (const lease of [...this.#leases.values()]) {
      if (lease.sentAt === undefined) continue;
      lease.sentAt = undefined;
      this.#plan(lease);
    }
    return error;
  }

  #firstBackoff(): Backoff {
    let capMs = MAX_PAUSE_MS;
    for (const lease of this.#leases.values()) capMs = Math.min(capMs, thirdOf(lease));
    return Backoff.start({ baseMs: 500, capMs });
  }

  /** Looks at a lease whose time has come. */
  #serve(lease: Lease): void {
    const now = this.#clock.now();
    if (now >= deadlineOf(lease)) {
      publish("sd:lease:lost", () => ({ leaseId: lease.id, reason: "overdue" }));
      lease.lose("overdue");
      return;
    }
    if (lease.sentAt !== undefined && now >= this.#answerDueAt(lease)) {
      if (this.#lastAnswerAt < lease.askedAt) {
        this.#leave?.(new SdError("SD_UNAVAILABLE", "etcd does not answer renewals"), true);
        return;
      }
      // Others are answered: ours may be far behind, or lost in a proxy. It counts from when it was sent first.
      this.#ask(lease, now);
    } else if (lease.sentAt === undefined && this.#stream && lease.renewAt <= now + SLACK_MS) {
      lease.sentAt = now;
      this.#ask(lease, now);
    }
    this.#plan(lease);
  }

  #ask(lease: Lease, now: number): void {
    lease.askedAt = now;
    this.#stream?.send({ id: lease.id });
  }

  #plan(lease: Lease): void {
    const next =
      lease.sentAt !== undefined
        ? this.#answerDueAt(lease)
        : this.#stream
          ? lease.renewAt
          : Number.POSITIVE_INFINITY;
    const dueAt = Math.min(next, deadlineOf(lease));
    if (dueAt === Number.POSITIVE_INFINITY) this.#schedule.delete(lease);
    else this.#schedule.set(lease, dueAt);
  }

  #answerDueAt(lease: Lease): number {
    return lease.askedAt + Math.min(MAX_ANSWER_MS, lease.ttlSeconds * 1_000 * ANSWER_SHARE);
  }

  #receive(answer: KeepAliveResponse): void {
    const now = this.#clock.now();
    this.#lastAnswerAt = now;
    const lease = this.#leases.get(answer.id);
    const sentAt = lease?.sentAt;
    if (!lease || sentAt === undefined) return;
    lease.sentAt = undefined;
    // 0 from etcd, -1 from its grpc-proxy.
    if (answer.ttlSeconds <= 0) {
      publish("sd:lease:lost", () => ({ leaseId: lease.id, reason: "expired" }));
      lease.lose("expired");
      return;
    }
    lease.confirm(answer.ttlSeconds, sentAt, answer);
    publish("sd:lease:renewed", () => ({
      leaseId: lease.id,
      ttlSeconds: answer.ttlSeconds,
      durationMs: now - sentAt,
    }));
    if (lease.hasEnded) return;
    lease.renewAt = sentAt + thirdOf(lease) * uniform(this.#random, 0.9, 1.1);
    this.#plan(lease);
  }
}

/** When the lease can no longer be claimed to live; never for one that was not claimed yet. */
function deadlineOf(lease: Lease): number {
  return lease.state.status === "active" ? lease.state.deadline : Number.POSITIVE_INFINITY;
}
