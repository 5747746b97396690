import { type EtcdClient, type Instance, type Position, SdError, servicePrefix, sleep } from "@sd/core";
import { type Change, type Discovery, type Entry, startDiscovery, startPrefixDiscovery } from "@sd/discover";
import type { Disk } from "./disk.js";
import type { History, Life } from "./history.js";
import type { Process } from "./process.js";
import type { Record } from "./record.js";
import { differences, eventsSince, latin, listDifference, short, stateAt, type Watched } from "./told.js";

export type Target =
  | { readonly type: "service"; readonly service: string }
  | { readonly type: "prefix"; readonly prefix: string };

/** A discovery may say "live" and lag so long (D16). */
const MAX_LAG_MS = 15_000;

/** What does not hold while it is in doubt. */
const doubtful: ReadonlySet<string> = new Set(["D1", "D3", "D8", "D11", "D16"]);

type Shown = Instance | Entry;

export interface DiscoverySurroundings {
  readonly history: History;
  readonly record: Record;
  /** Where it keeps its cache file, if it keeps one. */
  readonly disk: Disk | undefined;
}

/** A discovery, and its log checked against the store's history as it is written. */
export class DiscoverySubject {
  readonly name: string;
  readonly process: Process;
  readonly target: Target;
  readonly prefix: string;
  readonly discovery: Discovery<Shown>;
  readonly #isService: boolean;
  readonly #history: History;
  readonly #record: Record;
  /** The life of the store that it shows. */
  #life: number;
  #position: Position = { revision: 0, epoch: 1 };
  /** The revision of each entry that it has shown. */
  #shown = new Map<string, number>();
  /** What a reader of `changes()` has put together. */
  readonly #read = new Map<string, number>();
  #isInDoubt = false;
  #isClosing = false;
  #isClosed = false;

  constructor(
    name: string,
    process: Process,
    client: EtcdClient,
    target: Target,
    { history, record, disk }: DiscoverySurroundings,
  ) {
    this.name = name;
    this.process = process;
    this.target = target;
    this.#history = history;
    this.#record = record;
    this.#isService = target.type === "service";
    this.prefix = target.type === "service" ? servicePrefix(target.service) : target.prefix;
    this.#life = history.life;
    const cacheFile = disk?.file(this.prefix, process);
    this.discovery = (
      target.type === "service"
        ? startDiscovery(client, { service: target.service, cacheFile })
        : startPrefixDiscovery(client, target.prefix, { cacheFile })
    ) as Discovery<Shown>;
    this.discovery.onChanges((changes, position) => this.#check(changes, position));
    this.discovery.subscribe(({ status }) => {
      if (process.status === "dead") return;
      record.note(name, status);
      this.sample();
    });
    this.discovery.ready().then(
      () => {
        if (this.discovery.snapshot.revision === 0) record.blame("D17", name, "ready before the first list");
      },
      () => {},
    );
    void this.#follow(client);
  }

  /**
   * Whether it may be wrong without knowing, until it compares itself with etcd (D9). It must be right when
   * that is over.
   */
  set isInDoubt(isInDoubt: boolean) {
    this.#isInDoubt = isInDoubt;
    if (isInDoubt) return;
    this.#life = this.#history.life;
  }

  get isOpen(): boolean {
    return !this.#isClosing && this.process.status !== "dead";
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.discovery.close();
    this.#isClosed = true;
  }

  /** Looks at what it shows now. */
  sample(): void {
    if (this.process.status === "dead" || this.#isClosing) return;
    const { snapshot } = this.discovery;
    if (snapshot.revision === 0) return;
    if (snapshot.epoch === this.#position.epoch && snapshot.revision < this.#position.revision) {
      this.#blame("D2", `went back from revision ${this.#position.revision} to ${snapshot.revision}`);
    }
    const isNewEpoch = snapshot.epoch > this.#position.epoch;
    this.#position = { revision: snapshot.revision, epoch: snapshot.epoch };
    if (isNewEpoch) this.#findLife(this.#life + 1);
    this.#compare();
    this.#pick();
    if (this.discovery.state.status === "live") this.#checkLag();
  }

  /** Whether it is live and shows what the store holds now. */
  isRight(): boolean {
    if (this.discovery.state.status !== "live") return false;
    if (this.#life !== this.#history.life && !this.#isInDoubt) return false;
    const wanted = this.#wanted(this.#history.now, Number.POSITIVE_INFINITY);
    return differences(this.#present(), wanted).length === 0;
  }

  /** How it differs from what the store holds now, and what its reader has put together. */
  problems(): string[] {
    const { state } = this.discovery;
    const wanted = this.#wanted(this.#history.now, Number.POSITIVE_INFINITY);
    const standing = state.status === "live" ? [] : [`is ${state.status}`];
    const life =
      this.#life === this.#history.life ? [] : [`shows life ${this.#life} of ${this.#history.life}`];
    return [...standing, ...life, ...differences(this.#present(), wanted)];
  }

  /** Whether who reads `changes()` knows what the snapshot shows. */
  checkReader(): void {
    const { size } = retainedOf(this.discovery);
    if (size > 0) this.#blame("D11", `still retains ${size} keys of a history that is over`);
    const wrong = differences(this.#read, this.#showing());
    if (wrong.length > 0) this.#blame("D3", `a reader of changes() is left with ${wrong.join(", ")}`);
  }

  #check(changes: readonly Change<Shown>[], position: Position): void {
    if (this.#isClosed) this.#blame("D19", "tells of a change after close()");
    this.#history.sync();
    const before = this.#position;
    const isFirst = before.revision === 0;
    if (position.epoch < before.epoch) {
      this.#blame("D2", `went back from epoch ${before.epoch} to ${position.epoch}`);
    } else if (position.epoch === before.epoch && position.revision < before.revision) {
      this.#blame("D2", `went back from revision ${before.revision} to ${position.revision}`);
    }
    this.#record.note(this.name, `${position.epoch}/${position.revision} ${changes.map(short).join(" ")}`);
    this.#position = position;
    // From the cache file comes what any life may have held.
    const isRestored = isFirst && this.discovery.snapshot.ageMs > 0;
    if (isRestored) this.#record.totals.restored += 1;
    if (isFirst || position.epoch > before.epoch) {
      this.#findLife(isRestored ? 0 : isFirst ? this.#life : this.#life + 1);
    }
    this.#checkChanges(changes, isFirst ? undefined : before);
    this.#compare();
    this.#shown = this.#showing();
  }

  /** The newest life, not before `first`, that holds what it shows. */
  #findLife(first: number): void {
    const { lives } = this.#history;
    const present = this.#present();
    for (let life = lives.length - 1; life >= first; life -= 1) {
      const { revision } = this.#position;
      const candidate = lives[life] as Life;
      if (candidate.revision < revision) continue;
      if (differences(present, this.#wanted(candidate, revision)).length > 0) continue;
      this.#life = life;
      return;
    }
    if (first >= lives.length) this.#blame("D8", "began a new epoch though the history goes on");
    this.#life = lives.length - 1;
  }

  #compare(): void {
    this.#record.totals.snapshots += 1;
    const life = this.#history.lives[this.#life] as Life;
    this.#history.sync();
    const present = this.#present();
    const wanted = this.#wanted(life, this.#position.revision);
    const wrong = differences(present, wanted);
    if (wrong.length === 0) return;
    const isFlap = present.size === 0 && wanted.size > 0;
    this.#blame(isFlap ? "D11" : "D1", `at revision ${this.#position.revision}: ${wrong.join(", ")}`);
  }

  /** Either each event of the store since, in order, or after a list the difference. */
  #checkChanges(changes: readonly Change<Shown>[], before: Position | undefined): void {
    const { totals } = this.#record;
    const told = changes.map(short);
    const life = this.#history.lives[this.#life] as Life;
    const { revision, epoch } = this.#position;
    if (before && before.epoch === epoch) {
      const wanted = eventsSince(this.#watched(life), this.#shown.keys(), before.revision, revision);
      if (wanted.length === told.length && wanted.every((each, index) => each === told[index])) {
        totals.events += told.length;
        return;
      }
    }
    const isNewEpoch = before !== undefined && before.epoch !== epoch;
    const wanted = listDifference(this.#watched(life), this.#shown, this.#showing(), revision, isNewEpoch);
    const missing = wanted.filter((each) => !told.includes(each));
    const surplus = told.filter((each) => !wanted.includes(each));
    if (missing.length === 0 && surplus.length === 0 && wanted.length === told.length) {
      totals.lists += 1;
      return;
    }
    this.#blame(
      "D3",
      `from ${before?.revision ?? 0} to ${revision} told ${told.slice(0, 8).join(" ")} (${told.length}), missing ${missing.slice(0, 8).join(" ")}, surplus ${surplus.slice(0, 8).join(" ")}`,
    );
  }

  #pick(): void {
    try {
      this.discovery.pick();
    } catch (error) {
      const isEmpty = !this.discovery.snapshot.instances.some(isPickable);
      if (!SdError.is(error, "SD_NO_INSTANCE") || !isEmpty) this.#blame("D10", `pick() throws ${error}`);
    }
  }

  #checkLag(): void {
    const { now, lives, life } = this.#history;
    const since = this.process.now() - MAX_LAG_MS;
    if (this.process.hasPausedSince(since)) return;
    if (this.#life < life) {
      if (now.startedAt < since) this.#blame("D8", "is live, and shows a life of the store that is over");
      return;
    }
    const next = (lives[life] as Life).firstAfter(this.prefix, this.#position.revision);
    if (next && next.at < since) {
      this.#blame("D16", `is live, and has not heard of revision ${next.kv.modRevision} for 15 s`);
    }
  }

  /** A reader that is slow now and then. */
  async #follow(client: EtcdClient): Promise<void> {
    try {
      for await (const change of this.discovery.changes()) {
        const { key, modRevision } = change.instance;
        if (change.type === "removed") {
          if (!this.#read.delete(latin(key)))
            this.#blame("D3", `changes() removes ${key}, which was not there`);
        } else {
          if (this.#read.has(latin(key)) !== (change.type === "updated"))
            this.#blame("D3", `changes() tells ${change.type} of ${key}`);
          this.#read.set(latin(key), modRevision);
        }
        if (modRevision % 3 === 0) await sleep(client.clock, 250);
      }
    } catch (error) {
      this.#blame("D10", `changes() throws ${error}`);
    }
  }

  #showing(): Map<string, number> {
    const { instances } = this.discovery.snapshot;
    return new Map(instances.map(({ key, modRevision }) => [latin(key), modRevision]));
  }

  /** What it shows as etcd's: without what it retains of a history that is over. */
  #present(): Map<string, number> {
    const showing = this.#showing();
    for (const key of retainedOf(this.discovery)) showing.delete(latin(key));
    return showing;
  }

  #wanted(life: Life, revision: number): Map<string, number> {
    return stateAt(this.#watched(life), revision);
  }

  #watched(life: Life): Watched {
    return { life, prefix: this.prefix, isService: this.#isService };
  }

  #blame(invariant: string, text: string): void {
    if (this.#isInDoubt && doubtful.has(invariant)) return;
    this.#record.blame(invariant, this.name, text);
  }
}

/** The keys that a discovery shows for a while though etcd has lost them (D11), if it does so. */
function retainedOf(discovery: object): ReadonlySet<string> {
  return "retained" in discovery ? (discovery.retained as ReadonlySet<string>) : new Set();
}

function isPickable(entry: Shown): boolean {
  return !("weight" in entry) || entry.weight > 0;
}
