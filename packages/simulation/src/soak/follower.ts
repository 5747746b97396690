import { type Instance, type Position, SdError, servicePrefix } from "@sd/core";
import { type Change, type Discovery, type Entry, startDiscovery, startPrefixDiscovery } from "@sd/discover";
import type { Life } from "../history.js";
import { differences, eventsSince, latin, listDifference, short, stateAt, type Watched } from "../told.js";
import type { Ledger } from "./ledger.js";
import type { Oracle } from "./oracle.js";
import { type Credentials, Party } from "./party.js";
import type { Zone } from "./site.js";

/** As published (D16). */
const MAX_LAG_MS = 15_000;
/** It says `live` once its watch stands, before it has caught up. */
const CATCH_UP_MS = 8_000;
/** Who is right may not have heard of what has happened just now. */
const JUST_NOW_MS = 500;
/** So long stays what is missing in a new epoch (D11), as published; timers may fire early by one. */
const GRACE_MS = 30_000 - 1;

/** What it looks at, from where, and as whom. */
export interface Aim {
  readonly zone: Zone;
  readonly service: string;
  /** Not key by key. */
  readonly isService: boolean;
  readonly isGuest: boolean;
  readonly credentials: Credentials;
}

/** What one message of etcd made of a discovery. */
interface Told {
  readonly before: Position;
  readonly after: Position;
  readonly told: readonly string[];
  readonly shownBefore: ReadonlyMap<string, number>;
  readonly shown: ReadonlyMap<string, number>;
  /** Keys that it shows though etcd has lost them with its history. */
  readonly retained: ReadonlySet<string>;
  readonly retainedBefore: ReadonlySet<string>;
  /** Since when it shows this history. */
  readonly epochAt: number;
  readonly life: Life;
  readonly at: number;
}

/** A discovery in a process of its own; all that it tells is checked once the oracle has heard of it. */
export class Follower {
  readonly name: string;
  readonly isGuest: boolean;
  readonly party: Party;
  readonly discovery: Discovery<Instance | Entry>;
  readonly #prefix: string;
  readonly #isService: boolean;
  readonly #oracle: Oracle;
  readonly #ledger: Ledger;
  #position: Position = { revision: 0, epoch: 1 };
  #shown: ReadonlyMap<string, number> = new Map();
  #retained: ReadonlySet<string> = new Set();
  /** Of etcd's, the one that it shows. */
  #life: Life;
  /** etcd's history was exchanged, and it may say so now. */
  #mayBreak = false;
  #epochAt = Number.NEGATIVE_INFINITY;
  /** How far what it told has been checked. */
  checked = 0;
  #liveSince = Number.POSITIVE_INFINITY;
  isClosed = false;

  constructor(name: string, aim: Aim, oracle: Oracle, ledger: Ledger) {
    const { zone, service, isService, isGuest, credentials } = aim;
    this.name = name;
    this.isGuest = isGuest;
    this.#oracle = oracle;
    this.#ledger = ledger;
    const prefix = servicePrefix(service);
    this.#prefix = prefix;
    this.#isService = isService;
    this.#life = oracle.life;
    this.party = new Party(zone, credentials, { now: () => ledger.now }, () => () => {});
    const { client } = this.party;
    this.discovery = (
      isService ? startDiscovery(client, { service }) : startPrefixDiscovery(client, prefix)
    ) as Discovery<Instance | Entry>;
    this.discovery.onChanges((changes, position) => this.#take(changes, position));
    this.discovery.subscribe(({ status }) => {
      ledger.note(name, `${status} at revision ${this.discovery.snapshot.revision}`);
      this.#liveSince = status === "live" ? ledger.now : Number.POSITIVE_INFINITY;
    });
  }

  /** Whether it is live, and has heard of all but what has happened just now. */
  get isRight(): boolean {
    if (this.discovery.state.status !== "live" || !this.#isInLife()) return false;
    return this.#behindMs() < JUST_NOW_MS;
  }

  /** etcd's history is another one from now on. Who has seen no more of the old one than both have need not notice. */
  enterLife(): void {
    this.#mayBreak = true;
    const { life } = this.#oracle;
    this.checked = Math.min(this.checked, life.fork);
    const { revision } = this.discovery.snapshot;
    this.#ledger.note(this.name, `is at revision ${revision} when etcd goes back to ${life.fork}`);
    if (revision <= life.fork || this.#position.revision === 0) this.#life = life;
  }

  /**
   * Whether it shows the present history. What is the same at its revision in both it cannot tell apart, and need not:
   * from then on it is held to the new one.
   */
  #isInLife(): boolean {
    const { life } = this.#oracle;
    if (this.#life === life) return true;
    const { revision } = this.discovery.snapshot;
    if (!this.#mayBreak || revision > life.revision) return false;
    const watched: Watched = { life, prefix: this.#prefix, isService: this.#isService };
    const present = new Map([...this.#shown].filter(([key]) => !this.#retained.has(key)));
    if (differences(present, stateAt(watched, revision)).length > 0) return false;
    this.#ledger.alike += 1;
    this.#ledger.note(this.name, `shows what both histories hold at revision ${revision}`);
    this.#life = life;
    return true;
  }

  /** It has had its time to notice. */
  endBreak(): void {
    if (!this.#isInLife()) this.#blame("D8", `shows a history that is over: ${this.problem}`);
    this.#mayBreak = false;
  }

  /** What is wrong with it, in words. */
  get problem(): string {
    return `${this.discovery.state.status}, at revision ${this.discovery.snapshot.revision} of ${this.#oracle.revision}, behind by ${this.#behindMs().toFixed(0)} ms`;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.discovery.close();
    await this.party.client.close();
  }

  /** Looks at what it shows now. */
  sample(): void {
    const { snapshot } = this.discovery;
    if (this.isClosed || snapshot.revision === 0) return;
    try {
      this.discovery.pick();
    } catch (error) {
      const isEmpty = !snapshot.instances.some((each) => !("weight" in each) || each.weight > 0);
      if (!SdError.is(error, "SD_NO_INSTANCE") || !isEmpty) this.#blame("D10", `pick() throws ${error}`);
    }
    // In a history that is over: until a comparison shows it, which may take a while (D8).
    if (this.#liveSince > this.#ledger.now - CATCH_UP_MS || !this.#isInLife()) return;
    if (this.#behindMs() > MAX_LAG_MS) this.#blame("D16 lag", this.problem);
  }

  /** How long ago happened what it has not heard of. */
  #behindMs(): number {
    const { life } = this.#oracle;
    if (life !== this.#life) return this.#ledger.now - life.startedAt;
    const next = life.firstAfter(this.#prefix, this.discovery.snapshot.revision);
    return next ? this.#ledger.now - next.at : 0;
  }

  #take(changes: readonly Change<Instance | Entry>[], position: Position): void {
    if (this.isClosed) this.#blame("D19", "tells of a change after close()");
    const before = this.#position;
    const isNewEpoch = position.epoch > before.epoch;
    if (isNewEpoch) {
      if (!this.#mayBreak) this.#blame("D8", "began a new epoch though the history goes on");
      this.#epochAt = this.#ledger.now;
      this.#life = this.#oracle.life;
    } else if (position.revision < before.revision)
      this.#blame("D2 reordered", `went back from revision ${before.revision} to ${position.revision}`);
    const told: Told = {
      before,
      after: position,
      told: changes.map(short),
      shownBefore: this.#shown,
      shown: new Map(
        this.discovery.snapshot.instances.map(({ key, modRevision }) => [latin(key), modRevision]),
      ),
      retained: new Set([...this.discovery.retained].map(latin)),
      retainedBefore: this.#retained,
      epochAt: this.#epochAt,
      life: this.#life,
      at: this.#ledger.now,
    };
    this.#position = position;
    if (isNewEpoch) {
      this.#ledger.epochs += 1;
      this.#ledger.retained += told.retained.size;
    }
    this.#shown = told.shown;
    this.#retained = told.retained;
    // It has not noticed yet that this history is over; nobody knows what is right in it.
    if (this.#life !== this.#oracle.life) return;
    this.#oracle.when(position.revision, () => this.#check(told));
  }

  /** What a new epoch does not hold stays for a while (D11). */
  #checkGrace({ before, after, shownBefore, shown, retainedBefore, life, at, epochAt }: Told): void {
    const isNewEpoch = after.epoch > before.epoch;
    if (!isNewEpoch && at - epochAt > GRACE_MS) return;
    const kept = isNewEpoch ? [...shownBefore.keys()] : [...retainedBefore];
    // Of what was written since, the new history tells.
    const lost = kept.filter((key) => {
      if (shown.has(key)) return false;
      const changes = life.of(key).filter(({ kv }) => kv.modRevision <= after.revision);
      return isNewEpoch
        ? changes.at(-1)?.type !== "put"
        : !changes.some(({ kv }) => kv.modRevision > life.fork);
    });
    if (lost.length > 0)
      this.#blame(
        "D11 grace",
        `${lost.slice(0, 5)} is gone ${Math.round(at - epochAt)} ms after the epoch began`,
      );
  }

  #check(heard: Told): void {
    const { before, after, told, shownBefore, shown, retained, retainedBefore, life, at } = heard;
    const { totals } = this.#ledger;
    const watched: Watched = { life, prefix: this.#prefix, isService: this.#isService };
    const { prefix } = watched;
    const isNewEpoch = after.epoch > before.epoch;
    this.checked = after.revision;
    totals.snapshots += 1;
    const wanted = stateAt(watched, after.revision);
    const present = new Map([...shown].filter(([key]) => !retained.has(key)));
    const wrong = differences(present, wanted);
    if (wrong.length > 0) {
      const isFlap = shown.size === 0;
      this.#blame(
        isFlap ? "D11 empty flap" : "D1 wrong state",
        `at ${after.revision}: ${wrong.slice(0, 8).join(", ")}`,
      );
    }
    this.#checkGrace(heard);
    const events = eventsSince(watched, shownBefore.keys(), before.revision, after.revision);
    if (before.revision > 0 && !isNewEpoch && isSame(events, told)) {
      totals.events += told.length;
      for (const event of life.between(prefix, before.revision, after.revision))
        this.#ledger.seen(event.at, at);
      return;
    }
    const list = listDifference(watched, shownBefore, shown, after.revision, isNewEpoch);
    const mayList = retainedBefore.size > 0 || this.#ledger.wasListed(prefix, after.revision);
    if (mayList && isSame([...list].sort(), [...told].sort())) {
      totals.lists += 1;
      return;
    }
    this.#explain(before, after, told, isNewEpoch ? list : events);
  }

  /** Says in what way it is wrong. */
  #explain(before: Position, after: Position, told: readonly string[], events: readonly string[]): void {
    const missing = events.filter((each) => !told.includes(each));
    const surplus = told.filter((each) => !events.includes(each));
    const text = `from ${before.revision} to ${after.revision}: told ${told.length} of ${events.length}, missing ${missing.slice(0, 5).join(" ")}, surplus ${surplus.slice(0, 5).join(" ")}`;
    const isAt = (each: string, revision: number): boolean => Number(each.split("@").at(-1)) === revision;
    if (surplus.some((each) => isAt(each, before.revision))) this.#blame("D4 split", text);
    else if (surplus.length > 0 || new Set(told).size < told.length) this.#blame("D3 duplicated", text);
    if (missing.length > 0) this.#blame("D3 lost", text);
    else if (surplus.length === 0) this.#blame("D3 reordered", text);
  }

  #blame(invariant: string, text: string): void {
    this.#ledger.blame(invariant, this.name, text);
  }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((each, index) => each === other[index]);
}
