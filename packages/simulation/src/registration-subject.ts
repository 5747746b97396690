import { defaultFormat, type EtcdClient, instanceKey, type KeyValue } from "@sd/core";
import {
  type ConflictPolicy,
  type InstanceRegistration,
  type RegistrationState,
  startAllRegistrations,
  startRegistration,
} from "@sd/register";
import type { History, Recorded } from "./history.js";
import type { Process } from "./process.js";
import type { Record } from "./record.js";

export interface Wish {
  readonly service: string;
  readonly id: string;
  readonly address: string;
  readonly ttlSeconds: number;
  readonly onConflict: ConflictPolicy;
}

/** What only one who sees the store can tell. */
export interface StoreWitness {
  /** The registration that writes under this entry's lease. */
  ownerOf(kv: KeyValue): RegistrationSubject | undefined;
  /** Whether etcd has ended the lease once: a grant that comes a second time gives its id another life. */
  hasEnded(lease: bigint): boolean;
}

const CLOSE_MS = 3_000;

/** Starts what is wished: one by itself, several as a group. */
export function startAll(client: EtcdClient, wishes: readonly Wish[]): readonly InstanceRegistration[] {
  const [first, ...others] = wishes;
  if (!first) return [];
  const { ttlSeconds, onConflict } = first;
  const options = { ttlSeconds, onConflict, closeTimeoutMs: CLOSE_MS };
  if (others.length === 0) return [startRegistration(client, { ...first, ...options })];
  const instances = wishes.map(({ service, id, address }) => ({ service, id, address }));
  return startAllRegistrations(client, { instances, ...options }).registrations;
}

/** A registration, and its log checked against the store's history as it is written. */
export class RegistrationSubject {
  readonly name: string;
  readonly process: Process;
  readonly wish: Wish;
  readonly key: string;
  readonly registration: InstanceRegistration;
  readonly #history: History;
  readonly #record: Record;
  /** The leases under which it has asked to write. */
  readonly leases = new Set<bigint>();
  wasRegistered = false;
  #isClosing = false;
  /** Its key was confirmed to be gone. */
  #isGone = false;
  #startedAt: number;

  constructor(
    name: string,
    process: Process,
    registration: InstanceRegistration,
    wish: Wish,
    history: History,
    record: Record,
  ) {
    this.name = name;
    this.process = process;
    this.wish = wish;
    this.key = instanceKey(wish.service, wish.id);
    this.#history = history;
    this.#record = record;
    this.#startedAt = record.now;
    this.registration = registration;
    this.registration.subscribe((state) => this.#enter(state));
    this.registration.ready().then(
      () => {
        if (!this.wasRegistered) record.blame("R1", name, "is ready, and was never registered");
      },
      () => {},
    );
  }

  /** Whether it is to have its key, sooner or later. */
  get isWanted(): boolean {
    return !this.#isClosing && this.process.status !== "dead" && this.registration.state.status !== "failed";
  }

  /** Whether it may delete its key. */
  get mayLeave(): boolean {
    return this.#isClosing || this.registration.state.status === "failed";
  }

  get state(): RegistrationState {
    return this.registration.state;
  }

  async update(weight: number): Promise<void> {
    try {
      await this.registration.update({ weight });
    } catch {
      return;
    }
    const written = this.#history.lives.flatMap((life) => life.of(this.key));
    this.#history.sync();
    if (written.some((event) => this.#isMine(event.kv) && (weightOf(event.kv) ?? 0) >= weight)) return;
    const late = this.#history.now.of(this.key);
    if (late.some((event) => this.#isMine(event.kv) && (weightOf(event.kv) ?? 0) >= weight)) return;
    this.#blame("R1", `update to weight ${weight} resolved, and etcd never had it`);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    const startedAt = this.#record.now;
    const result = await this.registration.close().catch((error) => {
      this.#blame("R9", `close() throws ${error}`);
      return { confirmed: false };
    });
    this.#record.note(this.name, `closed, ${result.confirmed ? "confirmed" : "not confirmed"}`);
    if (this.process.status === "dead") return;
    const tookMs = this.#record.now - startedAt;
    if (tookMs > CLOSE_MS + 100 && !this.process.hasPausedSince(startedAt)) {
      this.#blame("R9", `close() took ${tookMs} ms`);
    }
    if (!result.confirmed) return;
    // First: an etcd that thaws does all that it was asked in one moment, and this before it confirmed.
    this.#history.sync();
    this.#isGone = true;
    const kv = this.#history.now.at(this.key, Number.POSITIVE_INFINITY);
    if (kv && this.#isMine(kv)) this.#blame("R9", "close() is confirmed, and the key is still there");
  }

  /** The store took a put under one of our leases. */
  wrote({ kv, previous, key }: Recorded, store: StoreWitness): void {
    if (this.#isGone) this.#blame("R9", `${key} was written after close() was confirmed`);
    if (!previous) return;
    const owner = store.ownerOf(previous);
    if (owner === this) {
      // What is under a lease that etcd has ended once is to be written anew.
      if (Buffer.compare(previous.value, kv.value) === 0 && !store.hasEnded(previous.lease))
        this.#blame("R14", `${key} was written anew at ${kv.modRevision}, and nothing had changed`);
      return;
    }
    if (this.wish.onConflict === "takeover") return;
    if (!this.wasRegistered && addressOf(previous) === this.wish.address) return;
    this.#blame("R2", `${key} was another's (${owner?.name ?? "a stranger"}), and overwritten`);
  }

  /** The store ended `lease`, as its TTL had passed. */
  expired(lease: bigint): void {
    const { state } = this;
    if (state.status === "registered" && state.leaseId === lease && this.process.isUpToDate) {
      this.#blame("R10", "claims to be registered, and etcd has ended the lease");
    }
  }

  /** Whether it is at rest: registered as the store says, or with another before it. */
  problem(current: KeyValue | undefined): string | undefined {
    const { state } = this;
    if (!current) return `${this.key} is absent, and it is ${state.status}`;
    if (this.#isMine(current)) {
      const isRight =
        state.status === "registered" &&
        state.leaseId === current.lease &&
        state.revision === current.modRevision;
      return isRight ? undefined : `holds ${this.key}@${current.modRevision}, and is ${describe(state)}`;
    }
    const isRight = state.status === "conflict" && state.owner.modRevision === current.modRevision;
    return isRight
      ? undefined
      : `${this.key}@${current.modRevision} is another's, and it is ${describe(state)}`;
  }

  #enter(state: RegistrationState): void {
    if (this.process.status === "dead") return;
    this.#record.note(this.name, describe(state));
    this.#record.totals.registrations += 1;
    if (state.status !== "registered") return;
    // First: what it has just written was written by one that was not registered.
    this.#history.sync();
    this.wasRegistered = true;
    const isWritten = this.#history.lives.some((life) =>
      life
        .of(this.key)
        .some(
          ({ type, kv }) => type === "put" && kv.modRevision === state.revision && kv.lease === state.leaseId,
        ),
    );
    if (!isWritten || !this.leases.has(state.leaseId)) {
      this.#blame("R1", `claims revision ${state.revision}, at which etcd took nothing of it`);
    }
    if (state.revision === 0) this.#blame("R1", `since ${this.#startedAt}`);
  }

  #isMine(kv: KeyValue): boolean {
    return this.leases.has(kv.lease);
  }

  #blame(invariant: string, text: string): void {
    this.#record.blame(invariant, this.name, text);
  }
}

function describe(state: RegistrationState): string {
  switch (state.status) {
    case "registered":
      return `registered@${state.revision} lease ${state.leaseId.toString(16)}`;
    case "conflict":
      return `conflict@${state.owner.modRevision}`;
    case "lost":
      return `lost (${state.reason})`;
    default:
      return state.status;
  }
}

function addressOf(kv: KeyValue): string | undefined {
  return read(kv)?.address;
}

function weightOf(kv: KeyValue): number | undefined {
  return read(kv)?.weight;
}

function read(kv: KeyValue) {
  try {
    return defaultFormat.read(kv.value);
  } catch {
    return undefined;
  }
}
