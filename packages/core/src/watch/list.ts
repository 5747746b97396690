import { type FailureKind, failureOf } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { Header, KeyValue, RangeResponse } from "../etcd/types.js";
import type { KeyRange } from "./key-range.js";

/** Small pages are slow: etcd counts the rest of the range for each. Larger ones stall the event loop. */
const PAGE_KEYS = 10_000;

/** After so many lists in a row that compaction overtook, each next one is read in pages ten times larger. */
const PATIENT_RESTARTS = 1;

/** Down to how many keys a page may be cut after a failure; other failures are not of its size. */
const smallestPage: Partial<Record<FailureKind, number>> = {
  "too-large": 1,
  // Fewer would not be faster: then it is etcd that does not answer.
  timeout: 100,
};

export interface ListOptions {
  /** How many lists before this one, in a row, were overtaken by compaction. Default 0. */
  readonly restarts?: number;
  /** Ask another member, if there is one. */
  readonly elsewhere?: boolean;
  /** Called with each page as it comes; what it throws ends the list. */
  readonly onPage?: (page: RangeResponse) => void;
}

export interface Listing {
  readonly kvs: readonly KeyValue[];
  /** Of the first page; every page shows the range at its revision. */
  readonly header: Header;
}

/**
 * Reads a range in pages, all at the revision of the first.
 *
 * Each page has a deadline of its own. A page that is too large or too slow is asked for again at a
 * quarter of its size. Where compaction is so frequent that it overtakes the pages, they grow.
 *
 * @throws SdError `SD_COMPACTED` if the revision was compacted meanwhile: list again.
 */
export async function listRange(
  transport: EtcdTransport,
  range: KeyRange,
  signal?: AbortSignal,
  { restarts = 0, elsewhere, onPage }: ListOptions = {},
): Promise<Listing> {
  const kvs: KeyValue[] = [];
  let header: Header | undefined;
  let limit = PAGE_KEYS * 10 ** Math.min(3, Math.max(0, restarts - PATIENT_RESTARTS));
  for (let key = range.key; ; ) {
    const request = { ...range, key, limit, ...(header && { revision: header.revision }) };
    try {
      const page = await transport.range(request, { signal, elsewhere });
      onPage?.(page);
      header ??= page.header;
      for (const kv of page.kvs) kvs.push(kv);
      const last = page.kvs.at(-1);
      if (!page.more || !last) return { kvs, header };
      key = successor(last.key);
    } catch (error) {
      const kind = failureOf(error);
      const least = smallestPage[kind ?? "unknown"] ?? limit;
      if (limit <= least) throw error;
      limit = Math.max(least, limit >> 2);
    }
  }
}

/** The smallest key after `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
