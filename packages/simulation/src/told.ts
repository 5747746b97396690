import type { Instance } from "@sd/core";
import { decodeUtf8, defaultFormat, type KeyValue, parseInstanceKey } from "@sd/core";
import type { Change, Entry } from "@sd/discover";
import { keyOf, type Life } from "./history.js";

/** What a discovery looks at: a prefix, in one life of the store. */
export interface Watched {
  readonly life: Life;
  readonly prefix: string;
  /** It discovers a service: what is no instance is left out. */
  readonly isService: boolean;
}

/** What it should show at `revision`: the revision of each key. */
export function stateAt({ life, prefix, isService }: Watched, revision: number): Map<string, number> {
  const state = new Map<string, number>();
  for (const [key, kv] of life.state(prefix, revision)) {
    if (isReadable(kv, isService)) state.set(key, kv.modRevision);
  }
  return state;
}

/** What it should tell of (`from`, `to`], in short, if it is told by a watch and showed `shown` before. */
export function eventsSince(
  { life, prefix, isService }: Watched,
  shown: Iterable<string>,
  from: number,
  to: number,
): string[] {
  const known = new Set(shown);
  const told: string[] = [];
  for (const { type, kv, key } of life.between(prefix, from, to)) {
    if (type === "put" && isReadable(kv, isService)) {
      told.push(`${known.has(key) ? "~" : "+"}${key}@${kv.modRevision}`);
      known.add(key);
    } else if (known.delete(key)) told.push(`-${key}@${kv.modRevision}`);
  }
  return told;
}

/** What it should tell after a list at `revision`, in short: from what it showed `before` to what it shows `now`. */
export function listDifference(
  watched: Watched,
  before: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>,
  revision: number,
  isNewEpoch: boolean,
): string[] {
  const wanted = stateAt(watched, revision);
  const told: string[] = [];
  for (const [key, modRevision] of wanted) {
    const shown = before.get(key);
    if (shown === undefined) told.push(`+${key}@${modRevision}`);
    else if (shown !== modRevision || isNewEpoch) told.push(`~${key}@${modRevision}`);
  }
  for (const key of before.keys()) {
    // Retained: it is not gone yet.
    if (now.has(key) && !wanted.has(key)) continue;
    // What can no longer be read is gone since it was written.
    if (!wanted.has(key)) told.push(`-${key}@${watched.life.at(key, revision)?.modRevision ?? revision}`);
  }
  return told;
}

/** A change in short, with the revision at which it happened. */
export function short(change: Change<Instance | Entry>): string {
  const key = latin(change.instance.key);
  switch (change.type) {
    case "added":
      return `+${key}@${change.instance.modRevision}`;
    case "updated":
      return `~${key}@${change.instance.modRevision}`;
    case "removed":
      return `-${key}@${change.revision}`;
  }
}

/** A key as the history names it. */
export function latin(key: string): string {
  return keyOf(Buffer.from(key));
}

/** What is wrong with `is`, in words. */
export function differences(is: ReadonlyMap<string, number>, should: ReadonlyMap<string, number>): string[] {
  const found: string[] = [];
  for (const [key, modRevision] of should) {
    const shown = is.get(key);
    if (shown === undefined) found.push(`${key}@${modRevision} missing`);
    else if (shown !== modRevision) found.push(`${key}@${shown} instead of @${modRevision}`);
  }
  for (const [key, modRevision] of is) if (!should.has(key)) found.push(`${key}@${modRevision} too much`);
  return found;
}

function isReadable(kv: KeyValue, isService: boolean): boolean {
  return isService ? isInstance(kv) : decodeUtf8(kv.key) !== undefined;
}

const readable = new WeakMap<KeyValue, boolean>();

function isInstance(kv: KeyValue): boolean {
  let isRead = readable.get(kv);
  if (isRead === undefined) {
    try {
      defaultFormat.read(kv.value);
      isRead = parseInstanceKey(kv.key) !== undefined;
    } catch {
      isRead = false;
    }
    readable.set(kv, isRead);
  }
  return isRead;
}
