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

  onCreated(): void {
    this.log.push("created");
  }

  onBehind(revision: number): void {
    this.log.push(`behind ${revision}`);
  }

  onEvents(events: readonly WatchEvent[], revision: number): void {
    this.events.push(...events);
    this.log.push(`${events.map(show).join(", ")} -> ${revision}`);
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
  #content = new Map<string, string>();

  /** Keys and values. */
  get content(): Record<string, string> {
    return Object.fromEntries([...this.#content].sort());
  }

  get position(): Position | undefined {
    return this.positions.at(-1);
  }

  replace(kvs: readonly KeyValue[], position: Position): void {
    this.#content = new Map(kvs.map(({ key, value }) => [text(key), text(value)]));
    this.#record(`replace ${kvs.length}`, position);
  }

  apply(events: readonly WatchEvent[], position: Position): void {
    for (const { type, kv } of events) {
      if (type === "put") this.#content.set(text(kv.key), text(kv.value));
      else this.#content.delete(text(kv.key));
    }
    this.#record(`apply ${events.length}`, position);
  }

  bookmark(position: Position): void {
    this.#record("bookmark", position);
  }

  #record(call: string, position: Position): void {
    this.calls.push(`${call} -> ${position.revision}`);
    this.positions.push(position);
  }
}
