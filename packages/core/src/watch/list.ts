import { failureOf, isNotApplied } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { Header, KeyValue, Page, RangeResponse } from "../etcd/types.js";
import type { Cancellation } from "../kit/cancellation.js";
import { type Clock, nextRound } from "../kit/clock.js";
import { SdError } from "../kit/errors.js";
import { type LinkedController, linkSignals } from "../kit/signals.js";
import type { FirstPages } from "./first-pages.js";
import { inRange, type KeyRange, printableRange, successor } from "./key-range.js";
import { bytesOf } from "./limits.js";
import type { PageSize } from "./page-size.js";

/** So many keys are prepared at a stretch: a few milliseconds, also in code that runs for the first time. */
const SLICE_KEYS = 500;

/** A part of a list, in the order of the keys. */
export interface Slice {
  readonly kvs: readonly KeyValue[];
  /** Of the first page; every page shows the range at its revision. */
  readonly header: Header;
}

export interface ListOptions {
  readonly clock: Clock;
  readonly pages: PageSize;
  /** Who is asked for the first page. Default: the transport. */
  readonly first?: FirstPages | undefined;
  /** Ask another member, if there is one. */
  readonly elsewhere?: boolean;
  /** Called with each page as it comes, before the next is asked for; what it throws ends the list. */
  readonly onPage?: (page: RangeResponse) => void;
  /** Takes the slices, one after the other; `false` ends the list. */
  readonly take: (slice: Slice) => boolean;
  readonly cancellation?: Cancellation;
}

/**
 * Reads a range in pages, all at the revision of the first, and hands it over in slices, between which the event
 * loop goes round: at least one, empty if the range is.
 *
 * Each page has a deadline of its own. A page that is too large or too slow is asked for again at a
 * quarter of its size; so is one under which the connection broke, or a first one that was too slow, but by the
 * next list. While slices are taken, the next page is on its way; a list that ends before lets go of it.
 *
 * @returns whether all was taken.
 * @throws SdError `SD_COMPACTED` if the revision was compacted meanwhile: list again.
 * @throws SdError `SD_INVARIANT` as `keyAfter()`, and for a key that is not in the range.
 */
export async function listRange(
  transport: EtcdTransport,
  range: KeyRange,
  { clock, pages, first, elsewhere, onPage, take, cancellation }: ListOptions,
): Promise<boolean> {
  // Nothing ends it while the first page is waited for: most lists need no signal of their own.
  let reading: LinkedController | undefined;
  let isOver = false;
  const ask = async (key: Uint8Array, revision?: number): Promise<RangeResponse> => {
    let together = revision === undefined && !elsewhere ? first : undefined;
    for (;;) {
      const { limit } = pages;
      const askedAt = clock.now();
      const request = { ...range, key, limit, ...(revision !== undefined && { revision }) };
      try {
        const page = together
          ? await together.range(request, cancellation)
          : await transport.range(request, { signal: reading?.signal ?? cancellation?.signal, elsewhere });
        pages.came(pageOf(page), page.count, clock.now() - askedAt);
        return page;
      } catch (error) {
        const kind = failureOf(error);
        if (kind === "compacted") pages.overtaken();
        // A call that was not sent tells nothing of its size.
        const isSmaller = !isNotApplied(error) && pages.failed(kind, clock.now() - askedAt);
        // Of a first page that is not answered it is told at once: it may be etcd that does not answer.
        const isFirst = revision === undefined;
        if (!isSmaller || kind === "network" || (kind === "timeout" && isFirst)) throw error;
        together = undefined;
      }
    }
  };
  try {
    pages.begin();
    let asked = range.key;
    let page = await ask(asked);
    const { header } = page;
    let isFirst = true;
    for (;;) {
      onPage?.(page);
      const following = keyAfter(page, asked);
      if (following) reading ??= linkSignals(cancellation);
      const next = following && ask(following, header.revision);
      // It is awaited below; until then, its failure is nobody's.
      next?.catch(() => {});
      for (const kvs of pageOf(page).slices(SLICE_KEYS)) {
        if (!isFirst) await nextRound();
        isFirst = false;
        if (cancellation?.aborted) throw cancellation.reason;
        const foreign = kvs.find(({ key }) => !inRange(key, range));
        if (foreign) throw new SdError("SD_INVARIANT", `etcd listed ${printableRange(foreign)}, unasked`);
        if (!take({ kvs, header })) return false;
      }
      if (!next) break;
      page = await next;
      asked = following;
    }
    if (isFirst && !take({ kvs: [], header })) return false;
    pages.completed();
    isOver = true;
    return true;
  } finally {
    // An abort makes an error, which costs as much as a small list: only where a page is on its way.
    if (isOver) reading?.[Symbol.dispose]();
    else reading?.abort();
  }
}

/**
 * Where the page after this one begins, which was asked for from `asked` on; `undefined` if it is the last.
 *
 * @throws SdError `SD_INVARIANT` if there is more and the page does not lead there: to take it for the last would
 *   be to lose keys, and to ask again might never end.
 */
export function keyAfter(page: RangeResponse, asked: Uint8Array): Uint8Array | undefined {
  if (!page.more) return undefined;
  const { last } = pageOf(page);
  if (last && Buffer.compare(last.key, asked) >= 0) return successor(last.key);
  throw new SdError("SD_INVARIANT", "etcd says that there are more keys, and gave none that follow");
}

function pageOf(response: RangeResponse): Page {
  return response.page ?? new ArrayPage(response.kvs);
}

/** The page of an answer that came as an array. */
class ArrayPage implements Page {
  readonly #kvs: readonly KeyValue[];

  constructor(kvs: readonly KeyValue[]) {
    this.#kvs = kvs;
  }

  get length(): number {
    return this.#kvs.length;
  }

  get bytes(): number {
    return bytesOf(this.#kvs);
  }

  get last(): KeyValue | undefined {
    return this.#kvs.at(-1);
  }

  *slices(size: number): Generator<readonly KeyValue[], void, void> {
    for (let at = 0; at < this.length; at += size) yield this.#kvs.slice(at, at + size);
  }
}
