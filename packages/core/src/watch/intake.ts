import type { Header, KeyValue, RangeResponse } from "../etcd/types.js";
import { clusterOf, findBreak, type History, type HistoryBreak, newestOf } from "./history.js";
import { bytesOf, type Limits, requireWithin } from "./limits.js";
import type { Slice } from "./list.js";
import type { Draft, Position, Store } from "./store.js";

export interface IntakeOptions {
  readonly store: Store;
  /** Where the store stands; `undefined` before its first list. */
  readonly history: History | undefined;
  readonly limits: Limits;
  /** The break of the history that was seen before. */
  readonly broken?: HistoryBreak | undefined;
}

/**
 * One list on its way into a store. Each part is looked at once, as it comes; nothing of it is kept but what
 * the store makes of it.
 */
export class Intake {
  readonly #options: IntakeOptions;
  #broken: HistoryBreak | undefined;
  #draft: Draft | undefined;
  #history: History | undefined;
  #keys = 0;
  #bytes = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#broken = options.broken;
  }

  /** What shows that the list is of another history than the store. */
  get broken(): HistoryBreak | undefined {
    return this.#broken;
  }

  /** Where the list leads to. */
  get history(): History {
    return this.#history as History;
  }

  get keys(): number {
    return this.#keys;
  }

  /** Of all keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** To be called with each page as it comes. @throws SdError `SD_LIMIT_EXCEEDED` if there are too many keys. */
  check({ count }: RangeResponse): void {
    requireWithin(this.#options.limits, count, this.#bytes);
  }

  /**
   * Takes in the next part.
   *
   * @returns `false` if it shows a break, and parts were taken before for those of the same history: all must
   *   be read again, by an intake that knows. In most breaks the first part shows it.
   * @throws SdError `SD_LIMIT_EXCEEDED` if there are too many bytes.
   */
  take(slice: Slice): boolean {
    const { store, history, limits } = this.#options;
    this.#keys += slice.kvs.length;
    this.#bytes += bytesOf(slice.kvs);
    requireWithin(limits, this.#keys, this.#bytes);
    if (history && !this.#broken) {
      this.#broken = findBreak(history, slice, store);
      if (this.#broken && this.#draft) return false;
    }
    this.#draft ??= this.#begin(slice.header);
    this.#draft.take(slice.kvs);
    const { anchor } = this.history;
    const newest = newestOf(slice.kvs, anchor);
    if (newest !== anchor) this.#history = { ...this.history, anchor: newest };
    return true;
  }

  /** Shows the store what was taken, as a whole. */
  replace(): void {
    this.#draft?.replace();
  }

  #begin(header: Header): Draft {
    const { store, history } = this.#options;
    const epoch = (history?.position.epoch ?? 1) + (this.#broken ? 1 : 0);
    const position: Position = { revision: header.revision, epoch };
    this.#history = { position, clusterId: clusterOf(history, header), anchor: undefined };
    return store.draft?.(position) ?? collect(store, position);
  }
}

/** For a store that takes a list as a whole. */
function collect(store: Store, position: Position): Draft {
  const all: KeyValue[] = [];
  return {
    take: (kvs) => void all.push(...kvs),
    replace: () => store.replace(all, position),
  };
}
