import { type Position, systemClock } from "@sd/core";
import type { RecordOptions } from "./record-states.js";

/** What a recorded entry must have: a key, and, to tell its versions apart, the revision of its last write. */
export interface RecordedEntry {
  readonly key: string;
  readonly modRevision: number;
}

/** One change, as discoveries tell it. */
export interface RecordedChange<T> {
  readonly type: "added" | "updated" | "removed";
  readonly instance: T;
}

/** What tells of changes: a discovery of `@sd/discover`. */
export interface ChangeSource<T extends RecordedEntry> {
  readonly snapshot: {
    readonly instances: readonly T[];
    readonly revision: number;
    readonly epoch: number;
  };
  onChanges(listener: (changes: readonly RecordedChange<T>[], position: Position) => void): Disposable;
}

/** The changes that came with one message of etcd, where they led, and when. */
export interface RecordedMessage<T> extends Position {
  readonly changes: readonly RecordedChange<T>[];
  /** Milliseconds of the recording's clock. */
  readonly at: number;
}

/** What a discovery has told since the recording began. */
export interface ChangeRecording<T extends RecordedEntry> extends Disposable {
  readonly messages: readonly RecordedMessage<T>[];
  /** The changes in short, in order: `+` added, `~` updated, `-` removed, and the key. */
  readonly log: readonly string[];
  /** The keys that whoever applied every change would hold now, sorted. */
  readonly keys: readonly string[];
  /**
   * What is wrong with what was told: a revision that goes back within an epoch, a change that does not fit what
   * was told before, one that was told twice, and any difference between all changes applied and the snapshot.
   * Empty: it is ordered, unique, and nothing was lost.
   */
  problems(): readonly string[];
}

const marks = { added: "+", updated: "~", removed: "-" } as const;

/** A change in short: `+` added, `~` updated, `-` removed, and the key. */
export function shortChange({ type, instance }: RecordedChange<{ readonly key: string }>): string {
  return `${marks[type]}${instance.key}`;
}

/** Begins to record the changes of a discovery, every one and in order, until disposed. */
export function recordChanges<T extends RecordedEntry>(
  source: ChangeSource<T>,
  { clock = systemClock }: RecordOptions = {},
): ChangeRecording<T> {
  const { snapshot } = source;
  const messages: RecordedMessage<T>[] = [];
  const problems: string[] = [];
  const held = new Map(snapshot.instances.map((instance) => [instance.key, instance]));
  let last: Position = { revision: snapshot.revision, epoch: snapshot.epoch };

  const take = (change: RecordedChange<T>, isSameEpoch: boolean): void => {
    const { type, instance } = change;
    const known = held.get(instance.key);
    if ((type === "added") === (known !== undefined)) {
      problems.push(`${shortChange(change)} at ${last.revision}, which was ${known ? "there" : "not there"}`);
    } else if (known && type === "updated" && isSameEpoch && instance.modRevision <= known.modRevision) {
      problems.push(`${shortChange(change)} of ${instance.modRevision} after that of ${known.modRevision}`);
    }
    if (type === "removed") held.delete(instance.key);
    else held.set(instance.key, instance);
  };

  const subscription = source.onChanges((changes, { revision, epoch }) => {
    if (epoch < last.epoch || (epoch === last.epoch && revision < last.revision)) {
      problems.push(`revision ${revision} (epoch ${epoch}) after ${last.revision} (epoch ${last.epoch})`);
    }
    const isSameEpoch = epoch === last.epoch;
    last = { revision, epoch };
    messages.push({ changes, revision, epoch, at: clock.now() });
    for (const change of changes) take(change, isSameEpoch);
  });

  return {
    messages,
    get log() {
      return messages.flatMap(({ changes }) => changes.map(shortChange));
    },
    get keys() {
      return [...held.keys()].sort();
    },
    problems: () => [...problems, ...differences(held, source.snapshot.instances)],
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  };
}

function differences<T extends RecordedEntry>(held: ReadonlyMap<string, T>, shown: readonly T[]): string[] {
  const byKey = new Map(shown.map((instance) => [instance.key, instance]));
  const missing = [...held.keys()].filter((key) => !byKey.has(key)).map((key) => `${key} went untold`);
  const changed = shown.flatMap(({ key, modRevision }) => {
    const told = held.get(key);
    if (!told) return [`${key} came untold`];
    return told.modRevision === modRevision ? [] : [`${key} changed untold`];
  });
  return [...missing, ...changed];
}
