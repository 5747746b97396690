import { StreamLoop } from "../etcd/stream-loop.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { KeepAliveRequest, KeepAliveResponse, LeaseId } from "../etcd/types.js";
import type { BackoffLimits } from "../kit/backoff.js";
import { publish } from "../kit/channels.js";
import type { Clock } from "../kit/clock.js";
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
/**
 * How many requests for one lease may be without an answer on a stream.
 *
 * Answers carry no number, so each is taken for the oldest request. Once one is lost (in etcd's grpc-proxy),
 * every later one counts from the request before its own, for as long as the stream lasts: too early, so
 * never wrong, and late by less than a renewal's distance. Were there no bound, each loss would add as much,
 * until no renewal came in time.
 */
const MAX_UNANSWERED = 2;
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
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #loop: StreamLoop<KeepAliveRequest, KeepAliveResponse>;
  readonly #leases = new Map<LeaseId, Lease>();
  /** For each lease the next thing to look at: its renewal, the answer to it, or its deadline. */
  readonly #schedule: Schedule<Lease>;
  /**
   * When the requests without an answer were sent on this stream, oldest first. By id, as an answer may
   * find another `Lease` than the one that asked.
   */
  readonly #unanswered = new Map<LeaseId, number[]>();
  #lastAnswerAt = 0;

  constructor(transport: EtcdTransport, clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#schedule = new Schedule(clock, SLACK_MS, (lease) => this.#serve(lease));
    this.#loop = new StreamLoop({
      clock,
      random,
      open: (handlers, options) => transport.keepAlive(handlers, options),
      isWanted: () => this.#leases.size > 0,
      limits: () => this.#limits(),
      onOpen: () => this.#serveAll(),
      onMessage: (answer) => this.#receive(answer),
      onOver: () => this.#forgetRequests(),
      onInterrupted: (error) =>
        void publish("sd:keepalive:interrupted", () => ({ error, leases: this.#leases.size })),
    });
  }

  get isClosed(): boolean {
    return this.#loop.isClosed;
  }

  /**
   * Starts to renew: an unproven lease at once, an active one at a random moment of its first third.
   * After `close()` it is released.
   */
  add(lease: Lease): void {
    if (this.isClosed) {
      lease.release();
      return;
    }
    const phase = lease.state.status === "unproven" ? 0 : uniform(this.#random, 0, thirdOf(lease));
    lease.renewAt = this.#clock.now() + phase;
    this.#leases.set(lease.id, lease);
    this.#serve(lease);
    if (this.#leases.size > 0) this.#loop.start();
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
    if (this.#leases.size === 0) this.#loop.stop();
  }

  /** Releases every lease and ends the stream. */
  async close(): Promise<void> {
    const closed = this.#loop.close();
    for (const lease of [...this.#leases.values()]) lease.release();
    await closed;
  }

  #limits(): BackoffLimits {
    let capMs = MAX_PAUSE_MS;
    for (const lease of this.#leases.values()) capMs = Math.min(capMs, thirdOf(lease));
    return { baseMs: 500, capMs };
  }

  #serveAll(): void {
    for (const lease of [...this.#leases.values()]) this.#serve(lease);
  }

  #forgetRequests(): void {
    this.#unanswered.clear();
    for (const lease of [...this.#leases.values()]) {
      if (lease.askedAt === undefined) continue;
      lease.askedAt = undefined;
      this.#plan(lease);
    }
  }

  /** Looks at a lease whose time has come. */
  #serve(lease: Lease): void {
    const now = this.#clock.now();
    if (now >= deadlineOf(lease)) {
      publish("sd:lease:lost", () => ({ leaseId: lease.id, reason: "overdue" }));
      lease.lose("overdue");
      return;
    }
    if (lease.askedAt === undefined) {
      if (this.#loop.isOpen && lease.renewAt <= now + SLACK_MS) this.#ask(lease, now);
    } else if (now >= answerDueAt(lease, lease.askedAt)) {
      if (this.#lastAnswerAt < lease.askedAt) {
        this.#loop.leave(new SdError("SD_UNAVAILABLE", "etcd does not answer renewals"), true);
        return;
      }
      // Others are answered: ours may be far behind, or lost in a proxy.
      this.#ask(lease, now);
    }
    this.#plan(lease);
  }

  #ask(lease: Lease, now: number): void {
    const unanswered = this.#unanswered.get(lease.id) ?? [];
    if (unanswered.length >= MAX_UNANSWERED) {
      this.#loop.leave(new SdError("SD_UNAVAILABLE", "etcd does not answer the renewals of a lease"), true);
      return;
    }
    unanswered.push(now);
    this.#unanswered.set(lease.id, unanswered);
    lease.askedAt = now;
    this.#loop.send({ id: lease.id });
  }

  /** When the oldest request for `id` was sent; it counts as answered from now on. */
  #takeOldest(id: LeaseId): number | undefined {
    const unanswered = this.#unanswered.get(id);
    const sentAt = unanswered?.shift();
    if (unanswered?.length === 0) this.#unanswered.delete(id);
    return sentAt;
  }

  #plan(lease: Lease): void {
    let next = this.#loop.isOpen ? lease.renewAt : Number.POSITIVE_INFINITY;
    if (lease.askedAt !== undefined) next = answerDueAt(lease, lease.askedAt);
    const dueAt = Math.min(next, deadlineOf(lease));
    if (dueAt === Number.POSITIVE_INFINITY) this.#schedule.delete(lease);
    else this.#schedule.set(lease, dueAt);
  }

  #receive(answer: KeepAliveResponse): void {
    const now = this.#clock.now();
    this.#lastAnswerAt = now;
    this.#loop.succeeded();
    const sentAt = this.#takeOldest(answer.id);
    const lease = this.#leases.get(answer.id);
    if (!lease) return;
    // 0 from etcd, -1 from its grpc-proxy. True whichever request it answers: a lease that is gone stays gone.
    if (answer.ttlSeconds <= 0) {
      publish("sd:lease:lost", () => ({ leaseId: lease.id, reason: "expired" }));
      lease.lose("expired");
      return;
    }
    // Nobody asked, or so long ago that the lease may have ended since: this proves nothing about now.
    if (sentAt === undefined || sentAt + answer.ttlSeconds * 1_000 <= now) return;
    lease.askedAt = undefined;
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

function answerDueAt(lease: Lease, askedAt: number): number {
  return askedAt + Math.min(MAX_ANSWER_MS, lease.ttlSeconds * 1_000 * ANSWER_SHARE);
}

/** When the lease can no longer be claimed to live; never for one that was not claimed yet. */
function deadlineOf(lease: Lease): number {
  return lease.state.status === "active" ? lease.state.deadline : Number.POSITIVE_INFINITY;
}
