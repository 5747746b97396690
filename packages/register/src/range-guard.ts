import type { Draft, KeyRange, KeyValue, Position, Store, WatchEvent } from "@sd/core";
import { type Guard, isSameWrite, type Known, type OnChange } from "./guard.js";
import { textOf } from "./key-text.js";

/** What one of our keys holds since a revision. */
interface Standing {
  readonly current: KeyValue | undefined;
  readonly revision: number;
}

/**
 * Some of our keys, and what lies between them: of the others it holds the revisions only.
 *
 * Who watches a key hears of each list and each change, also of what is older than what is known: a list may
 * have been begun before.
 */
export class RangeGuard implements Store {
  readonly range: KeyRange;
  readonly #keys: ReadonlyMap<string, Uint8Array>;
  #revisions = new Map<string, number>();
  /** Of our keys, once listed. */
  readonly #standings = new Map<string, Standing>();
  readonly #watching = new Map<string, OnChange>();
  /** Of the reflector; `undefined` before the first list. */
  #epoch: number | undefined;

  constructor(keys: readonly Uint8Array[]) {
    const sorted = [...keys].sort(Buffer.compare);
    const [first = new Uint8Array()] = sorted;
    const last = sorted.at(-1) ?? first;
    // The next key after the last.
    this.range = { key: first, rangeEnd: Uint8Array.of(...last, 0) };
    this.#keys = new Map(keys.map((key) => [textOf(key), key]));
  }

  /**
   * Whether it has seen what is newer than what is known: it has overtaken the answer that told that, or has
   * not noticed yet that etcd was wiped.
   */
  isAhead(key: Uint8Array, { revision, held }: Known): boolean {
    const standing = this.#standings.get(textOf(key));
    return (
      standing !== undefined &&
      standing.revision > revision &&
      standing.current?.modRevision !== held?.modRevision
    );
  }

  watch(key: Uint8Array, onChange: OnChange): Guard {
    const text = textOf(key);
    let first = this.#epoch;
    const told: OnChange = (current, { revision, epoch }) => {
      first ??= epoch;
      onChange(current, { revision, epoch: epoch - first + 1 });
    };
    this.#watching.set(text, told);
    return {
      close: async () => {
        if (this.#watching.get(text) === told) this.#watching.delete(text);
      },
    };
  }

  get ownKeys(): number {
    return this.#keys.size;
  }

  get size(): number {
    return this.#revisions.size;
  }

  revisionOf(key: Uint8Array): number | undefined {
    return this.#revisions.get(textOf(key));
  }

  /** Of others' keys the revision decides. */
  isHeld(kv: KeyValue): boolean {
    const text = textOf(kv.key);
    if (this.#revisions.get(text) !== kv.modRevision) return false;
    const current = this.#standings.get(text)?.current;
    return current === undefined || isSameWrite(current, kv);
  }

  draft({ revision, epoch }: Position): Draft {
    const revisions = new Map<string, number>();
    const found = new Map<string, KeyValue>();
    return {
      take: (kvs) => {
        for (const kv of kvs) {
          const text = textOf(kv.key);
          revisions.set(text, kv.modRevision);
          if (this.#keys.has(text)) found.set(text, this.#copy(text, kv));
        }
      },
      replace: () => {
        this.#epoch = epoch;
        this.#revisions = revisions;
        for (const text of this.#keys.keys()) {
          const current = found.get(text);
          this.#standings.set(text, { current, revision: current?.modRevision ?? revision });
        }
        for (const [text, onChange] of [...this.#watching]) this.#tell(text, onChange);
      },
    };
  }

  replace(kvs: readonly KeyValue[], position: Position): void {
    const draft = this.draft(position);
    draft.take(kvs);
    draft.replace();
  }

  apply(events: readonly WatchEvent[]): boolean {
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
      this.#standings.set(text, this.#standing(text, type === "put" ? kv : undefined, kv.modRevision));
      changed.add(text);
    }
    for (const text of changed) {
      const onChange = this.#watching.get(text);
      if (onChange) this.#tell(text, onChange);
    }
    return isTrue;
  }

  bookmark(): void {}

  #standing(text: string, kv: KeyValue | undefined, revision: number): Standing {
    return { current: kv && this.#copy(text, kv), revision };
  }

  /** What etcd sent is a view of its whole message, and is kept here. */
  #copy(text: string, { value, createRevision, modRevision, version, lease }: KeyValue): KeyValue {
    const key = this.#keys.get(text) as Uint8Array;
    return { key, value: Uint8Array.from(value), createRevision, modRevision, version, lease };
  }

  #tell(text: string, onChange: OnChange): void {
    const standing = this.#standings.get(text);
    // One may have ended another's watch.
    if (standing && this.#watching.get(text) === onChange) {
      onChange(standing.current, { revision: standing.revision, epoch: this.#epoch ?? 1 });
    }
  }
}
