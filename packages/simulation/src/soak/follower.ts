import { type Instance, type Position, SdError, servicePrefix } from "@sd/core";
import { type Change, type Discovery, type Entry, startDiscovery, startPrefixDiscovery } from "@sd/discover";
import { differences, eventsSince, latin, listDifference, short, stateAt, type Watched } from "../told.js";
import type { Ledger } from "./ledger.js";
import type { Oracle } from "./oracle.js";
import { Party } from "./party.js";
import type { Zone } from "./site.js";

/** As published (D16). */
const MAX_LAG_MS = 15_000;
/** It says `live` once its watch stands, before it has caught up. */
const CATCH_UP_MS = 8_000;
/** Who is right may not have heard of what has happened just now. */
const JUST_NOW_MS = 500;

/** What one message of etcd made of a discovery. */
interface Told {
  readonly before: Position;
  readonly after: Position;
  readonly told: readonly string[];
  readonly shownBefore: ReadonlyMap<string, number>;
  readonly shown: ReadonlyMap<string, number>;
  readonly at: number;
  readonly isCalm: boolean;
}

/** A discovery in a process of its own; all that it tells is checked once the oracle has heard of it. */
export class Follower {
  readonly name: string;
  readonly party: Party;
  readonly discovery: Discovery<Instance | Entry>;
  readonly #watched: Watched;
  readonly #oracle: Oracle;
  readonly #ledger: Ledger;
  readonly #isCalm: () => boolean;
  #position: Position = { revision: 0, epoch: 1 };
  #shown: ReadonlyMap<string, number> = new Map();
  /** How far what it told has been checked. */
  checked = 0;
  #liveSince = Number.POSITIVE_INFINITY;
  isClosed = false;

  constructor(
    name: string,
    zone: Zone,
    service: string,
    isService: boolean,
    oracle: Oracle,
    ledger: Ledger,
    isCalm: () => boolean,
  ) {
    this.name = name;
    this.#oracle = oracle;
    this.#ledger = ledger;
    this.#isCalm = isCalm;
    const prefix = servicePrefix(service);
    this.#watched = { life: oracle.life, prefix, isService };
    this.party = new Party(zone, () => () => {});
    const { client } = this.party;
    this.discovery = (
      isService ? startDiscovery(client, { service }) : startPrefixDiscovery(client, prefix)
    ) as Discovery<Instance | Entry>;
    this.discovery.onChanges((changes, position) => this.#take(changes, position));
    this.discovery.subscribe(({ status }) => {
      ledger.note(name, status);
      this.#liveSince = status === "live" ? ledger.now : Number.POSITIVE_INFINITY;
    });
  }

  /** Whether it is live, and has heard of all but what has happened just now. */
  get isRight(): boolean {
    if (this.discovery.state.status !== "live") return false;
    return this.#behindMs() < JUST_NOW_MS;
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
    if (this.#liveSince > this.#ledger.now - CATCH_UP_MS) return;
    if (this.#behindMs() > MAX_LAG_MS) this.#blame("D16 lag", this.problem);
  }

  /** How long ago happened what it has not heard of. */
  #behindMs(): number {
    const { life } = this.#oracle;
    const next = life.firstAfter(this.#watched.prefix, this.discovery.snapshot.revision);
    return next ? this.#ledger.now - next.at : 0;
  }

  #take(changes: readonly Change<Instance | Entry>[], position: Position): void {
    if (this.isClosed) this.#blame("D19", "tells of a change after close()");
    const told: Told = {
      before: this.#position,
      after: position,
      told: changes.map(short),
      shownBefore: this.#shown,
      shown: new Map(
        this.discovery.snapshot.instances.map(({ key, modRevision }) => [latin(key), modRevision]),
      ),
      at: this.#ledger.now,
      isCalm: this.#isCalm(),
    };
    this.#position = position;
    this.#shown = told.shown;
    if (position.epoch > told.before.epoch) this.#blame("D8", "began a new epoch though the history goes on");
    if (position.revision < told.before.revision)
      this.#blame("D2 reordered", `went back from revision ${told.before.revision} to ${position.revision}`);
    this.#oracle.when(position.revision, () => this.#check(told));
  }

  #check({ before, after, told, shownBefore, shown, at, isCalm }: Told): void {
    const { totals } = this.#ledger;
    const { life, prefix } = this.#watched;
    this.checked = after.revision;
    totals.snapshots += 1;
    const wrong = differences(shown, stateAt(this.#watched, after.revision));
    if (wrong.length > 0) {
      const isFlap = shown.size === 0;
      this.#blame(
        isFlap ? "D11 empty flap" : "D1 wrong state",
        `at ${after.revision}: ${wrong.slice(0, 8).join(", ")}`,
      );
    }
    const events = eventsSince(this.#watched, shownBefore.keys(), before.revision, after.revision);
    if (before.revision > 0 && isSame(events, told)) {
      totals.events += told.length;
      const delay = isCalm ? this.#ledger.calmDelay : this.#ledger.stormDelay;
      for (const event of life.between(prefix, before.revision, after.revision)) delay.add(at - event.at);
      return;
    }
    const list = listDifference(this.#watched, shownBefore, shown, after.revision, false);
    if (this.#ledger.wasListed(prefix, after.revision) && isSame([...list].sort(), [...told].sort())) {
      totals.lists += 1;
      return;
    }
    this.#explain(before, after, told, events);
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
