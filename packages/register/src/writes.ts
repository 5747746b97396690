import {
  type Cancellation,
  type Deferred,
  deferred,
  type EtcdClient,
  type EtcdTransport,
  failureOf,
  isNotApplied,
  type KeyValue,
  type LeaseId,
  type Operation,
  SdError,
  type TxnRequest,
  waitFor,
} from "@sd/core";
import type { Doubts } from "./doubts.js";

/** What a transaction may hold of comparisons, and of operations: etcd's `--max-txn-ops` by default. */
const MAX_WRITES = 128;
/** Of keys and values in one transaction: a third of what etcd takes by default. */
const MAX_BYTES = 512 * 1024;
/**
 * So many transactions are under way, each in parts if etcd refused it as a whole; what comes meanwhile goes together
 * with the next.
 */
const MAX_UNDER_WAY = 4;
/** Into so many parts at once is split what etcd refuses: three rounds find those of 128 that it does not take. */
const PARTS = 8;

/** Puts `value` if the key's modification revision is `guard` (0: absent). */
export interface GuardedPut {
  readonly type: "put";
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly lease: LeaseId;
  readonly guard: number;
}

/** Deletes the key if it is under `lease`. */
export interface GuardedDelete {
  readonly type: "delete";
  readonly key: Uint8Array;
  readonly lease: LeaseId;
}

export type GuardedWrite = GuardedPut | GuardedDelete;

export interface WriteAnswer {
  /** Whether the guard held, and it is written. */
  readonly isWritten: boolean;
  /** What the key held instead; `undefined` if it was absent. */
  readonly current: KeyValue | undefined;
  /** The store's, when that was seen; that of the write, if it is written. */
  readonly storeRevision: number;
}

interface Waiting {
  readonly write: GuardedWrite;
  readonly answer: Deferred<WriteAnswer>;
  readonly cancellation: Cancellation;
}

export interface WritesOptions {
  /** Ends those that are under way together. */
  readonly over?: Cancellation;
  /** Where the puts are noted whose outcome is not known. */
  readonly doubts?: Doubts;
}

/**
 * Writes keys under guards; those that come together share a transaction. What etcd answers to one is as if it had a
 * transaction of its own; what becomes of the call (no answer in time, a broken connection) they have in common.
 *
 * A transaction is done as a whole or not at all, so where one guard of many does not hold, nothing is
 * written and all keys are read: those whose guards do not hold have their answer, and the others go again
 * without them. Where etcd refuses some for what they are (too large, not permitted, under a lease that is gone), the
 * transaction is sent again in parts, until each of them is alone.
 */
export class Writes {
  readonly #transport: EtcdTransport;
  readonly #over: Cancellation | undefined;
  readonly #doubts: Doubts | undefined;
  #waiting: Waiting[] = [];
  #underWay = 0;
  #isGathering = false;

  constructor(transport: EtcdTransport, { over, doubts }: WritesOptions = {}) {
    this.#transport = transport;
    this.#over = over;
    this.#doubts = doubts;
  }

  /**
   * @throws what the transport throws, for each of those that were sent together.
   * @throws `cancellation.reason` when that aborts; what is under way with others may be written all the same.
   */
  write(write: GuardedWrite, cancellation: Cancellation): Promise<WriteAnswer> {
    const answer = deferred<WriteAnswer>();
    this.#waiting.push({ write, answer, cancellation });
    if (!this.#isGathering) {
      this.#isGathering = true;
      queueMicrotask(() => {
        this.#isGathering = false;
        this.#flush();
      });
    }
    return waitFor(answer.promise, { signal: cancellation });
  }

  #flush(): void {
    while (this.#underWay < MAX_UNDER_WAY) {
      const batch = this.#take();
      if (batch.length === 0) return;
      this.#underWay += 1;
      void this.#send(batch).then(() => {
        this.#underWay -= 1;
        this.#flush();
      });
    }
  }

  #take(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    let next = 0;
    for (const each of this.#waiting) {
      bytes += sizeOf(each.write);
      const [first] = batch;
      if (first && (batch.length === MAX_WRITES || bytes > MAX_BYTES)) break;
      next += 1;
      if (!each.cancellation.aborted) batch.push(each);
    }
    this.#waiting = this.#waiting.slice(next);
    return batch;
  }

  /** Sends those that still want it. Never rejects. */
  async #send(waiting: readonly Waiting[]): Promise<void> {
    const batch = waiting.filter(({ cancellation }) => !cancellation.aborted);
    const [first] = batch;
    if (!first) return;
    const isAlone = batch.length === 1;
    const settle = this.#doubt(batch);
    try {
      const { succeeded, header, ranges } = await this.#transport.txn(
        request(batch.map(({ write }) => write)),
        { signal: (isAlone ? first.cancellation : this.#over)?.signal },
      );
      const again: Waiting[] = [];
      batch.forEach((each, index) => {
        const current = ranges[index]?.kvs[0];
        if (!succeeded && !isAlone && holds(each.write, current)) again.push(each);
        else each.answer.resolve({ isWritten: succeeded, current, storeRevision: header.revision });
      });
      // Not before: what is broken in an answer is seen when it is looked at.
      settle();
      if (again.length === batch.length) throw contradiction();
      await this.#send(again);
    } catch (error) {
      if (isNotApplied(error)) settle();
      if (isAlone || !isOfSome(error, batch)) {
        for (const { answer } of batch) answer.reject(error);
        return;
      }
      await Promise.all(partsOf(batch).map((part) => this.#send(part)));
    }
  }

  /** Their outcome is in doubt from now on. @returns to be called when it is known. */
  #doubt(batch: readonly Waiting[]): () => void {
    const doubts = this.#doubts;
    if (!doubts) return () => {};
    const settle = batch.flatMap(({ write }) => (write.type === "put" ? [doubts.add(write)] : []));
    return () => {
      for (const each of settle) each();
    };
  }
}

const ofClients = new WeakMap<EtcdClient, Writes>();

/**
 * What the registrations of a client write with that have a lease each; it lasts as long as the client.
 *
 * What is in doubt need not be known: nobody departs from under such a lease, it is revoked.
 */
export function loneWrites(client: EtcdClient): Writes {
  const writes = ofClients.get(client) ?? new Writes(client.transport);
  ofClients.set(client, writes);
  return writes;
}

function request(writes: readonly GuardedWrite[]): TxnRequest {
  return {
    compare: writes.map((write) =>
      write.type === "put"
        ? { target: "mod", key: write.key, equals: write.guard }
        : { target: "lease", key: write.key, equals: write.lease },
    ),
    success: writes.map(operation),
    failure: writes.map(({ key }) => ({ type: "range", range: { key } })),
  };
}

function operation(write: GuardedWrite): Operation {
  const { type, key, lease } = write;
  return type === "put" ? { type: "put", key, value: write.value, lease } : { type: "delete", key };
}

function holds(write: GuardedWrite, current: KeyValue | undefined): boolean {
  return write.type === "put" ? (current?.modRevision ?? 0) === write.guard : current?.lease === write.lease;
}

/** Sent again, they might go round without end. */
function contradiction(): SdError {
  return new SdError("SD_INVARIANT", "etcd refused a transaction, and shows that all its guards hold");
}

/** Whether some of several may be why all were refused. */
function isOfSome(error: unknown, batch: readonly Waiting[]): boolean {
  switch (failureOf(error)) {
    case undefined:
      return SdError.is(error, "SD_INVALID_ARGUMENT");
    case "lease-not-found":
      return batch.some(({ write }) => write.lease !== batch[0]?.write.lease);
    case "permission":
    case "invalid":
    case "too-large":
      return true;
    default:
      return false;
  }
}

function partsOf(batch: readonly Waiting[]): Waiting[][] {
  const size = Math.ceil(batch.length / PARTS);
  return Array.from({ length: Math.ceil(batch.length / size) }, (_, nth) =>
    batch.slice(nth * size, (nth + 1) * size),
  );
}

function sizeOf(write: GuardedWrite): number {
  return write.key.length + (write.type === "put" ? write.value.length : 0);
}
