import { defaultFormat, instanceKey, type KeyValue } from "@sd/core";
import { type InstanceRegistration, type RegistrationState, startRegistration } from "@sd/register";
import type { Recorded } from "../history.js";
import { RequestCheck } from "../request-check.js";
import type { Ledger } from "./ledger.js";
import type { Oracle } from "./oracle.js";
import { type Credentials, Party } from "./party.js";
import type { Zone } from "./site.js";

export const TTL_SECONDS = 8;
/** Who is cut off claims its key for a TTL, and asks again within a TTL. */
const MAX_WRONG_MS = 2 * TTL_SECONDS * 1_000;

export interface Wish {
  readonly service: string;
  readonly id: string;
  readonly address: string;
  readonly isGuest: boolean;
}

/** A registration in a process of its own, and its claims checked against the oracle. */
export class Registrar {
  readonly name: string;
  readonly wish: Wish;
  readonly key: string;
  readonly zone: Zone;
  readonly registration: InstanceRegistration;
  /** Under which it has asked to write. */
  readonly leases = new Set<bigint>();
  /** Since when it does not want its key any more. */
  endedAt = Number.POSITIVE_INFINITY;
  #wasRegistered = false;
  #wrongSince = Number.POSITIVE_INFINITY;
  readonly party: Party;
  readonly #oracle: Oracle;
  readonly #ledger: Ledger;

  constructor(
    name: string,
    zone: Zone,
    wish: Wish,
    credentials: Credentials,
    oracle: Oracle,
    ledger: Ledger,
  ) {
    this.name = name;
    this.wish = wish;
    this.zone = zone;
    this.key = instanceKey(wish.service, wish.id);
    this.#oracle = oracle;
    this.#ledger = ledger;
    const check = new RequestCheck(name, ledger, (_, lease) => this.leases.add(lease));
    this.party = new Party(zone, credentials, { now: () => ledger.now }, (request) => check.see(request));
    const { service, id, address } = wish;
    const options = { service, id, address, ttlSeconds: TTL_SECONDS, closeTimeoutMs: 3_000 };
    this.registration = startRegistration(this.party.client, options);
    this.registration.subscribe((state) => this.#enter(state));
  }

  get state(): RegistrationState {
    return this.registration.state;
  }

  get isGuest(): boolean {
    return this.wish.isGuest;
  }

  get isWanted(): boolean {
    return this.endedAt === Number.POSITIVE_INFINITY;
  }

  /** What the oracle knows of its key, if that is its own. */
  get mine(): KeyValue | undefined {
    const kv = this.#oracle.life.at(this.key, Number.POSITIVE_INFINITY);
    return kv && this.leases.has(kv.lease) ? kv : undefined;
  }

  /** Whether it holds its key, and says so. */
  get isHome(): boolean {
    const { mine, state } = this;
    return mine !== undefined && state.status === "registered" && state.leaseId === mine.lease;
  }

  async crash(): Promise<void> {
    this.endedAt = this.#ledger.now;
    await this.party.crash();
  }

  async close(): Promise<void> {
    this.endedAt = this.#ledger.now;
    const { confirmed } = await this.registration.close();
    this.#ledger.note(this.name, `closed, ${confirmed ? "confirmed" : "not confirmed"}`);
    const tookMs = this.#ledger.now - this.endedAt;
    if (tookMs > 4_000) this.#blame("R9 late close", `close() took ${tookMs} ms`);
    await this.party.client.close();
    if (!confirmed) return;
    await this.#oracle.catchUp().catch(() => {});
    if (this.mine) this.#blame("R9 orphan", "close() is confirmed, and the key is still there");
  }

  /** The oracle has heard of a put under one of our leases. */
  wrote({ kv, previous }: Recorded): void {
    // What it finds in a restored past, it may have given up since.
    if (!previous || previous.modRevision <= this.#oracle.life.fork) return;
    if (this.leases.has(previous.lease)) {
      if (Buffer.compare(previous.value, kv.value) !== 0) return;
      this.#blame("R14 needless", `written anew at ${kv.modRevision}, and nothing had changed`);
    } else if (this.#wasRegistered || addressOf(previous) !== this.wish.address) {
      this.#blame("R2 foreign write", `another's key was overwritten at ${kv.modRevision}`);
    }
  }

  /** The oracle has heard that our key is gone, by nobody's doing: its lease has ended. */
  expired({ kv, previous }: Recorded): void {
    const { state } = this;
    if (!this.isWanted || state.status !== "registered" || state.leaseId !== previous?.lease) return;
    this.#blame("R10", `claims to be registered, and etcd has ended the lease at ${kv.modRevision}`);
  }

  /** Looks whether what it says is true, or has not been for too long. */
  sample(): void {
    const { now } = this.#ledger;
    if (!this.isWanted || this.state.status !== "registered" || this.isHome)
      this.#wrongSince = Number.POSITIVE_INFINITY;
    else this.#wrongSince = Math.min(this.#wrongSince, now);
    if (now - this.#wrongSince < MAX_WRONG_MS) return;
    this.#wrongSince = now;
    this.#blame("R1 wrong claim", `claims to be registered for ${MAX_WRONG_MS} ms, and is not`);
  }

  #enter(state: RegistrationState): void {
    if (!this.isWanted) return;
    this.#ledger.totals.registrations += 1;
    this.#ledger.note(this.name, describe(state));
    if (state.status !== "registered") return;
    const { revision, leaseId } = state;
    this.#oracle.when(revision, () => {
      // Not before: what it has just written was written by one that was not registered.
      this.#wasRegistered = true;
      const isWritten = this.#oracle.life
        .of(this.key)
        .some(({ type, kv }) => type === "put" && kv.modRevision === revision && kv.lease === leaseId);
      if (!isWritten) this.#blame("R1 wrong claim", `claims revision ${revision}, which is not its own`);
    });
  }

  #blame(invariant: string, text: string): void {
    this.#ledger.blame(invariant, this.name, `${this.key}: ${text}`);
  }
}

function describe(state: RegistrationState): string {
  switch (state.status) {
    case "registered":
      return `registered@${state.revision} lease ${state.leaseId.toString(16)}`;
    case "lost":
      return `lost (${state.reason})`;
    default:
      return state.status;
  }
}

function addressOf(kv: KeyValue): string | undefined {
  try {
    return defaultFormat.read(kv.value).address;
  } catch {
    return undefined;
  }
}
