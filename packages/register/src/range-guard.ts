import type { KeyRange, KeyValue, Position, Store, WatchEvent } from "@sd/core";
import type { Guard, Known, OnChange } from "./guard.js";
import { textOf } from "./key-text.js";

/** What one of our keys holds since a revision. */
interface Standing {
  readonly current: KeyValue | undefined;
  readonly revision: number;
}

interface Watching {
  readonly known: Known;
  readonly onChange: OnChange;
}

/** Some of our keys, and what lies between them: of the others it holds the revisions only. */
export class RangeGuard implements Store {
  readonly range: KeyRange;
  readonly #keys: ReadonlyMap<string, Uint8Array>;
  readonly #revisions = new Map<string, number>();
  /** Of our keys, once listed. */
  readonly #standings = new Map<string, Standing>();
  readonly #watching = new Map<string, Watching>();
  #epoch: number | undefined;

  constructor(keys: readonly Uint8Array[]) {
    const sorted = [...keys].sort(Buffer.compare);
    const [first = new Uint8Array()] = sorted;
    const last = sorted.at(-1) ?? first;
    // The next key after the last.
    this.range = { key: first, rangeEnd: Uint8Array.of(...last, 0) };
    this.#keys = new Map(keys.map((key) => [textOf(key), key]));
  }

  watch(key: Uint8Array, known: Known, onChange: OnChange): Guard {
    const text = textOf(key);
    const watching = { known, onChange };
    this.#watching.set(text, watching);
    const standing = this.#standings.get(text);
    // The watch may have been faster than the answer that told what is known.
    if (standing && standing.revision > known.revision && standing.current?.modRevision !== known.held) {
      queueMicrotask(() => this.#tell(text, watching));
    }
    return {
      close: async () => {
        if (this.#watching.get(text) === watching) this.#watching.delete(text);
      },
    };
  }

  get size(): number {
    return this.#revisions.size;
  }

  revisionOf(key: Uint8Array): number | undefined {
    return this.#revisions.get(textOf(key));
  }

  replace(kvs: readonly KeyValue[], { revision, epoch }: Position): void {
    const isOtherEpoch = this.#epoch !== undefined && this.#epoch !== epoch;
    this.#epoch = epoch;
    this.#revisions.clear();
    const gone = new Set(this.#keys.keys());
    for (const kv of kvs) {
      const text = textOf(kv.key);
      this.#revisions.set(text, kv.modRevision);
      if (gone.delete(text)) this.#note(text, kv, kv.modRevision);
    }
    for (const text of gone) this.#note(text, undefined, revision);
    for (const [text, watching] of [...this.#watching]) {
      const { known } = watching;
      // An older list than what is known says nothing; that of another epoch has revisions of its own.
      if (revision <= known.revision && !isOtherEpoch) continue;
      if (this.#standings.get(text)?.current?.modRevision !== known.held) this.#tell(text, watching);
    }
  }

  apply(events: readonly WatchEvent[], _position: Position): boolean {
    let isTrue = true;
    const changed = new Set<string>();
    for (const { type, kv } of events) {
      const text = textOf(kv.key);
      const held = this.#revisions.get(text);
      if (type === "put") {
        if (held !== undefined && held >= kv.modRevision) isTrue = false;
        this.#revisions.set(text, kv.modRevision);
      } else if (!this.#revisions.delete(text)) isTrue = false;
      if (!this.#keys.has(text)) continue;
      this.#note(text, type === "put" ? kv : undefined, kv.modRevision);
      changed.add(text);
    }
    for (const text of changed) {
      const watching = this.#watching.get(text);
      const { revision = 0 } = this.#standings.get(text) ?? {};
      if (watching && revision > watching.known.revision) this.#tell(text, watching);
    }
    return isTrue;
  }

  bookmark(): void {}

  #note(text: string, kv: KeyValue | undefined, revision: number): void {
    this.#standings.set(text, { current: kv && this.#copy(text, kv), revision });
  }

  /** What etcd sent is a view of its whole message, and is kept here. */
  #copy(text: string, { value, createRevision, modRevision, version, lease }: KeyValue): KeyValue {
    const key = this.#keys.get(text) as Uint8Array;
    return { key, value: Uint8Array.from(value), createRevision, modRevision, version, lease };
  }

  #tell(text: string, watching: Watching): void {
    const standing = this.#standings.get(text);
    if (standing && this.#watching.get(text) === watching) {
      watching.onChange(standing.current, standing.revision);
    }
  }
}
