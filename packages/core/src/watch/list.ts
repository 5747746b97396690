import { failureOf, isNotApplied } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { Header, KeyValue, RangeResponse } from "../etcd/types.js";
import { type Clock, nextRound } from "../kit/clock.js";
import type { KeyRange } from "./key-range.js";
import type { PageSize } from "./page-size.js";
import type { Draft } from "./store.js";

/** So many keys are prepared at a stretch: a few milliseconds, also in code that runs for the first time. */
const SLICE_KEYS = 500;

export interface Listing {
  /** Empty if a draft has taken them. */
  readonly kvs: readonly KeyValue[];
  readonly count: number;
  /** Of the first page; every page shows the range at its revision. */
  readonly header: Header;
}

export interface ListOptions {
  readonly clock: Clock;
  readonly pages: PageSize;
  /** Gives what takes the parts as they come. */
  readonly draft?: (header: Header) => Draft | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Reads a range in pages, all at the revision of the first.
 *
 * Each page has a deadline of its own. A page that is too large or too slow is asked for again at a
 * quarter of its size; so is one under which the connection broke, but by the next list. A draft takes the
 * keys in slices, between which the event loop goes round, while the next page is on its way.
 *
 * @throws SdError `SD_COMPACTED` if the revision was compacted meanwhile: list again.
 */
export async function listRange(
  transport: EtcdTransport,
  range: KeyRange,
  { clock, pages, draft: begin, signal }: ListOptions,
): Promise<Listing> {
  const kvs: KeyValue[] = [];
  let count = 0;
  pages.begin();
  const read = async (key: Uint8Array, revision?: number): Promise<RangeResponse> => {
    for (;;) {
      const { limit } = pages;
      const askedAt = clock.now();
      const request = { ...range, key, limit, ...(revision !== undefined && { revision }) };
      try {
        const page = await transport.range(request, { signal });
        pages.came(page, clock.now() - askedAt);
        return page;
      } catch (error) {
        const kind = failureOf(error);
        // A call that was not sent tells nothing of its size.
        const isSmaller = !isNotApplied(error) && pages.failed(kind, clock.now() - askedAt);
        if (!isSmaller || kind === "network") throw error;
      }
    }
  };
  const { header, ...first } = await read(range.key);
  const draft = begin?.(header);
  for (let page: Omit<RangeResponse, "header"> = first; ; ) {
    const last = page.kvs.at(-1);
    const next = page.more && last ? read(successor(last.key), header.revision) : undefined;
    // It is awaited below; until then, its failure is nobody's.
    next?.catch(() => {});
    for (let at = 0; at < page.kvs.length; at += SLICE_KEYS) {
      const slice = page.kvs.slice(at, at + SLICE_KEYS);
      if (!draft) kvs.push(...slice);
      else {
        if (count > 0) await nextRound();
        draft.take(slice);
      }
      count += slice.length;
    }
    if (!next) break;
    page = await next;
  }
  pages.completed();
  return { kvs, count, header };
}

/** The smallest key after `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
