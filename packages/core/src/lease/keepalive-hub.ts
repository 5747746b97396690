import { StreamLoop } from "../etcd/stream-loop.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { KeepAliveRequest, KeepAliveResponse, LeaseId } from "../etcd/types.js";
import type { BackoffLimits } from "../kit/backoff.js";
import { publish } from "../kit/channels.js";
import type { Clock } from "../kit/clock.js";
import { SdError } from "../kit/errors.js";
import { Listeners } from "../kit/machine.js";
import { type Random, uniform } from "../kit/random.js";
import { Schedule } from "../kit/schedule.js";
import type { Asked, Lease } from "./lease.js";

/** How long a member may keep us waiting for an answer, besides the round trip, if the TTL allows it. */
const MAX_ANSWER_MS = 3_000;
/** Else this part of the TTL: with a renewal 10 % late, a silent stream is left after two thirds (R16). */
const ANSWER_SHARE = 0.3;
/** The longest pause between two streams; a third of the shortest TTL if that is less. */
const MAX_PAUSE_MS = 1_500;
/**
 * At most this part of the time that is left until a lease is lost: the sooner a way that is back is found,
 * the longer an outage that costs no lease.
 */
const PAUSE_SHARE = 1 / 8;
/** However little time is left: many clients come to the end of their leases together. */
const HURRY_MS = 200;
/**
 * How many requests for one lease may be without an answer on a stream, besides those that a slow link has
 * on their way.
 *
 * Answers carry no number, so each is taken for the oldest request. Once one is lost (in etcd's grpc-proxy),
 * every later one counts from the request before its own, for as long as the stream lasts: too early, so
 * never wrong, and late by less than a renewal's distance. Were there no bound, each loss would add as much,
 * until no renewal came in time.
 */
const MAX_UNANSWERED = 2;
/** How much of a new measurement goes into the round trip that is reckoned with. */
const MEASURE_SHARE = 0.25;
/**
 * Renewals due so close together are sent together, up to so much early. Of 10,000 leases (TTL 15) that are 500 at
 * a time: their code and the connection are in use once, and not twenty times a second.
 */
const SLACK_MS = 250;
/** If that is less: this part of the time between two renewals. */
const SLACK_SHARE = 0.05;

const thirdOf = (lease: Lease): number => (lease.ttlSeconds * 1_000) / 3;
const slackOf = (lease: Lease): number => Math.min(SLACK_MS, SLACK_SHARE * thirdOf(lease));

/**
 * Renews all leases of a client on one stream.
 *
 * Each lease is renewed every third of its TTL, ±10 %, or up to 5 % sooner together with others, from a random
 * first phase; on a link so slow that the answer is not there by then, without waiting for it. A stream that ends,
 * or that leaves a renewal unanswered, is replaced on another member, for ever; nothing is lost with it but time.
 * The stream exists while there is a lease.
 */
export class KeepaliveHub {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #loop: StreamLoop<KeepAliveRequest, KeepAliveResponse>;
  readonly #leases = new Map<LeaseId, Lease>();
  /** For each lease the next thing to look at: its renewal, the answer to it, or its deadline. */
  readonly #schedule: Schedule<Lease>;
  /**
   * The requests without an answer on this stream, oldest first. By id, as an answer may find another `Lease`
   * than the one that asked. An empty entry stays as long as its lease: a map is slow where ten thousand come
   * and go.
   */
  readonly #unanswered = new Map<LeaseId, Asked[]>();
  /** How many requests were sent on this stream, and how many of them etcd has come to, at least. */
  #sent = 0;
  #answeredUpTo = 0;
  /** Why renewals are not answered; `undefined` while they are. */
  interruption: unknown;
  /** Hears why, at each new try. */
  readonly interruptions = new Listeners<[error: unknown]>();
  #lastAnswerAt = 0;
  /** How long answers have taken on this stream, smoothed; `undefined` before the first. */
  #smoothedMs: number | undefined;

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
      maxPauseMs: () => Math.max(HURRY_MS, PAUSE_SHARE * this.#leftMs()),
      onOpen: () => this.#opened(),
      onMessage: (answer) => this.#receive(answer),
      onOver: () => this.#forgetRequests(),
      onInterrupted: (error) => {
        publish("sd:keepalive:interrupted", () => ({ error, leases: this.#leases.size }));
        this.interruption = error;
        this.interruptions.emit(error);
      },
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
    lease.renewAt = this.#inTime(lease, this.#clock.now() + phase);
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
    this.#forgetEmpty(lease.id);
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

  /** How long the lease lives that is the first to be lost. */
  #leftMs(): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (const lease of this.#leases.values()) deadline = Math.min(deadline, deadlineOf(lease));
    return deadline - this.#clock.now();
  }

  #opened(): void {
    this.#smoothedMs = undefined;
    for (const lease of [...this.#leases.values()]) {
      lease.renewAt = this.#inTime(lease, lease.renewAt);
      this.#serve(lease);
    }
  }

  /** How long an answer takes on this stream when all is well; before the first, what the connection took. */
  get #roundTripMs(): number {
    return this.#smoothedMs ?? this.#loop.roundTripMs;
  }

  /** Also the first is only a share: it may have waited for a busy etcd, or for us, and no link takes that long. */
  #measure(durationMs: number): void {
    const before = this.#roundTripMs;
    this.#smoothedMs = before + MEASURE_SHARE * (durationMs - before);
  }

  /** `renewAt`, or sooner if the answer could else come too late. */
  #inTime(lease: Lease, renewAt: number): number {
    return Math.min(renewAt, deadlineOf(lease) - 2 * this.#roundTripMs);
  }

  #forgetRequests(): void {
    this.#unanswered.clear();
    this.#sent = 0;
    this.#answeredUpTo = 0;
    for (const lease of [...this.#leases.values()]) {
      if (lease.asked === undefined) continue;
      lease.asked = undefined;
      lease.renewAt = this.#clock.now();
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
    if (lease.asked !== undefined && now >= this.#answerDueAt(lease, lease.asked)) {
      if (this.#lastAnswerAt < lease.asked.at) {
        this.#loop.leave(new SdError("SD_UNAVAILABLE", "etcd does not answer renewals"), true);
        return;
      }
      // Lost in a proxy, or taken for the answer to an earlier one that was.
      lease.asked = undefined;
      lease.renewAt = now;
    }
    if (this.#loop.isOpen && lease.renewAt <= now + slackOf(lease)) {
      if (lease.asked !== undefined && this.#isBehind(lease, lease.asked)) {
        lease.renewAt = this.#answerDueAt(lease, lease.asked);
      } else this.#ask(lease, now);
    }
    this.#plan(lease);
  }

  #ask(lease: Lease, now: number): void {
    let unanswered = this.#unanswered.get(lease.id);
    if (!unanswered) {
      unanswered = [];
      this.#unanswered.set(lease.id, unanswered);
    }
    if (unanswered.length >= MAX_UNANSWERED + this.#onTheirWay(lease)) {
      this.#loop.leave(new SdError("SD_UNAVAILABLE", "etcd does not answer the renewals of a lease"), true);
      return;
    }
    this.#sent += 1;
    const asked: Asked = { at: now, number: this.#sent };
    unanswered.push(asked);
    lease.asked ??= asked;
    lease.renewAt = now + thirdOf(lease) * uniform(this.#random, 0.9, 1.1);
    this.#loop.send({ id: lease.id });
  }

  #forgetEmpty(id: LeaseId): void {
    if (this.#unanswered.get(id)?.length === 0) this.#unanswered.delete(id);
  }

  #plan(lease: Lease): void {
    let dueAt = deadlineOf(lease);
    if (this.#loop.isOpen) dueAt = Math.min(dueAt, lease.renewAt);
    if (lease.asked !== undefined) dueAt = Math.min(dueAt, this.#answerDueAt(lease, lease.asked));
    if (dueAt === Number.POSITIVE_INFINITY) this.#schedule.delete(lease);
    else this.#schedule.set(lease, dueAt);
  }

  #receive(answer: KeepAliveResponse): void {
    const now = this.#clock.now();
    this.#lastAnswerAt = now;
    this.interruption = undefined;
    this.#loop.succeeded();
    const unanswered = this.#unanswered.get(answer.id);
    // The oldest counts as answered from now on.
    const asked = unanswered?.shift();
    // What nobody has asked for comes after all that was asked.
    this.#answeredUpTo = Math.max(this.#answeredUpTo, asked?.number ?? this.#sent + 1);
    if (asked) this.#loop.exchanged(now - asked.at);
    const lease = this.#leases.get(answer.id);
    if (!lease) {
      this.#forgetEmpty(answer.id);
      return;
    }
    // 0 from etcd, -1 from its grpc-proxy. True whichever request it answers: a lease that is gone stays gone.
    if (answer.ttlSeconds <= 0) {
      publish("sd:lease:lost", () => ({ leaseId: lease.id, reason: "expired" }));
      lease.lose("expired");
      return;
    }
    // Nobody asked, or so long ago that the lease may have ended since: this proves nothing about now.
    if (asked === undefined || asked.at + answer.ttlSeconds * 1_000 <= now) return;
    const sentAt = asked.at;
    lease.asked = unanswered?.[0];
    // Else it may be the answer to a later request.
    if (lease.asked === undefined) this.#measure(now - sentAt);
    lease.confirm(answer.ttlSeconds, sentAt, answer);
    publish("sd:lease:renewed", () => ({
      leaseId: lease.id,
      ttlSeconds: answer.ttlSeconds,
      durationMs: now - sentAt,
    }));
    if (lease.hasEnded) return;
    const isNextOnItsWay = lease.asked !== undefined && this.#onTheirWay(lease) > 0;
    if (!isNextOnItsWay) {
      lease.renewAt = this.#inTime(lease, sentAt + thirdOf(lease) * uniform(this.#random, 0.9, 1.1));
    }
    this.#plan(lease);
  }

  /**
   * How many renewals a slow link may have on their way when all is well, besides the newest: by its fastest
   * exchange, which the time in the queue of a busy etcd is no part of.
   */
  #onTheirWay(lease: Lease): number {
    return Math.floor(this.#loop.roundTripMs / (0.8 * thirdOf(lease)));
  }

  /** Whether a request that was sent later has its answer: etcd answers those of a stream in their order. */
  #isOvertaken({ number }: Asked): boolean {
    return this.#answeredUpTo > number;
  }

  /**
   * Whether etcd has not come to a request yet, though the link would have brought the answer long ago. Asked the
   * same again, an etcd with too much to do is thrown back still further.
   */
  #isBehind(lease: Lease, asked: Asked): boolean {
    return this.#onTheirWay(lease) === 0 && !this.#isOvertaken(asked);
  }

  /** When we have waited too long: for this answer, if later requests have theirs; else for any. */
  #answerDueAt(lease: Lease, asked: Asked): number {
    const since = this.#isOvertaken(asked) ? asked.at : Math.max(asked.at, this.#lastAnswerAt);
    return since + Math.min(MAX_ANSWER_MS, lease.ttlSeconds * 1_000 * ANSWER_SHARE) + this.#roundTripMs;
  }
}

/** When the lease can no longer be claimed to live; never for one that was not claimed yet. */
function deadlineOf(lease: Lease): number {
  return lease.state.status === "active" ? lease.state.deadline : Number.POSITIVE_INFINITY;
}
