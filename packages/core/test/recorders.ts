import type { KeyValue, WatchEvent } from "../src/etcd/types.js";
import { SdError } from "../src/kit/errors.js";
import type { Position, Store } from "../src/watch/store.js";
import type { WatchSink } from "../src/watch/watch.js";
import { text } from "./observe.js";

const show = ({ type, kv }: WatchEvent): string => `${type} ${text(kv.key)}@${kv.modRevision}`;
const codeOf = (error: unknown): string => (SdError.is(error) ? error.code : String(error));

/** Writes down what a watch tells its owner. */
export class RecordingSink implements WatchSink {
  readonly log: string[] = [];
  readonly events: WatchEvent[] = [];
  caughtUp = 0;

  onCreated(): void {
    this.log.push("created");
  }

  onCaughtUp(): void {
    this.caughtUp += 1;
  }

  onBehind(revision: number): void {
    this.log.push(`behind ${revision}`);
  }

  onEvents(events: readonly WatchEvent[], revision: number): void {
    this.events.push(...events);
    this.log.push(`${events.map(show).join(", ")} -> ${revision}`);
  }

  onStale(): void {
    this.log.push("stale");
  }

  onProgress(revision: number): void {
    this.log.push(`progress ${revision}`);
  }

  onInterrupted(error: unknown): void {
    this.log.push(`interrupted ${codeOf(error)}`);
  }

  onGap(gap: string): void {
    this.log.push(`gap ${gap}`);
  }

  onRefused(error: unknown): void {
    this.log.push(`refused ${codeOf(error)}`);
  }
}

/** A store that remembers every state it showed, and what led there. */
export class RecordingStore implements Store {
  readonly calls: string[] = [];
  readonly positions: Position[] = [];
  #content = new Map<string, KeyValue>();

  /** Keys and values. */
  get content(): Record<string, string> {
    return Object.fromEntries([...this.#content].map(([key, { value }]) => [key, text(value)]).sort());
  }

  get position(): Position | undefined {
    return this.positions.at(-1);
  }

  get size(): number {
    return this.#content.size;
  }

  revisionOf(key: Uint8Array): number | undefined {
    return this.#content.get(text(key))?.modRevision;
  }

  isHeld({ key, modRevision, lease }: KeyValue): boolean {
    const held = this.#content.get(text(key));
    return held?.modRevision === modRevision && held.lease === lease;
  }

  replace(kvs: readonly KeyValue[], position: Position): void {
    this.#content = new Map(kvs.map((kv) => [text(kv.key), kv]));
    this.#record(`replace ${kvs.length}`, position);
  }

  apply(events: readonly WatchEvent[], position: Position): boolean {
    let isConsistent = true;
    for (const { type, kv } of events) {
      const held = this.#content.get(text(kv.key));
      if (type === "put") this.#content.set(text(kv.key), kv);
      else this.#content.delete(text(kv.key));
      if (type === "put" ? held && held.modRevision >= kv.modRevision : !held) isConsistent = false;
    }
    this.#record(`apply ${events.length}`, position);
    return isConsistent;
  }

  bookmark(position: Position): void {
    this.#record("bookmark", position);
  }

  #record(call: string, position: Position): void {
    this.calls.push(`${call} -> ${position.revision}`);
    this.positions.push(position);
  }
}
