import { failureOf, wasSent } from "../etcd/failure.js";
import type { EtcdTransport } from "../etcd/transport.js";
import type { Header, KeyValue, Page, RangeRequest, RangeResponse } from "../etcd/types.js";
import type { Cancellation } from "../kit/cancellation.js";
import { SdError } from "../kit/errors.js";

/** As many as etcd takes in one transaction, unless its operator says otherwise: `--max-txn-ops`. */
const MOST_RANGES = 128;
/** So many at first, to learn whether etcd takes them together: with what follows, no more keys than a first page. */
const FIRST_RANGES = 16;
/** Of each range. What has more is listed on in pages of its own. */
const KEYS_EACH = 64;

/** One who waits for the first page of a range. */
interface Waiting {
  readonly request: RangeRequest;
  readonly cancellation: Cancellation | undefined;
  readonly resolve: (page: RangeResponse) => void;
  readonly reject: (error: unknown) => void;
  /** Takes the listener off the cancellation. */
  readonly unlink: (() => void) | undefined;
}

/**
 * Reads the first pages of the lists that begin in one turn of the event loop together, many in a transaction:
 * 1,000 services discovered by one client take 9 calls instead of 1,000.
 *
 * All pages of a transaction are of one revision, the newest. If etcd refuses one (a single range that may not be
 * read, or `--max-txn-ops`), those that are left are read one by one, so nobody is harmed by another's range; nor
 * by a transaction that is not answered in time, but those that were in it are told.
 */
export class FirstPages {
  readonly #transport: EtcdTransport;
  #waiting: Waiting[] = [];

  constructor(transport: EtcdTransport) {
    this.#transport = transport;
  }

  /**
   * As the transport's `range()`, perhaps with fewer keys than the limit. For ranges at the newest revision.
   *
   * @throws `cancellation.reason` when it is aborted.
   */
  range(request: RangeRequest, cancellation?: Cancellation): Promise<RangeResponse> {
    return new Promise((resolve, reject) => {
      if (cancellation?.aborted) throw cancellation.reason;
      const unlink = cancellation?.onAbort(() => reject(cancellation.reason));
      if (this.#waiting.push({ request, cancellation, resolve, reject, unlink }) > 1) return;
      // For the others of this turn.
      queueMicrotask(() => {
        const waiting = this.#waiting;
        this.#waiting = [];
        void this.#read(waiting);
      });
    });
  }

  async #read(waiting: Waiting[]): Promise<void> {
    let most = waiting.length > 1 ? FIRST_RANGES : 0;
    while (most > 0 && waiting.length > 0) {
      const together = waiting.splice(0, most).filter(({ cancellation }) => !cancellation?.aborted);
      try {
        if (together.length > 0) await this.#readTogether(together);
        most = MOST_RANGES;
      } catch (error) {
        const kind = failureOf(error);
        // Nobody can be reached: the others need not find that out for themselves.
        if (kind && !wasSent(error)) return fail([...together, ...waiting], error);
        // What broke would do so one by one as well.
        const isLost = !kind || kind === "network";
        // Nor is it asked for once more in vain: who has waited so long goes on with a smaller page.
        if (isLost || kind === "timeout") fail(together, error);
        else waiting.push(...together);
        most = isLost ? most : 0;
      }
    }
    for (const { request, cancellation, resolve, reject, unlink } of waiting) {
      if (cancellation?.aborted) continue;
      // The transport ends it then.
      unlink?.();
      this.#transport.range(request, { signal: cancellation?.signal }).then(resolve, reject);
    }
  }

  async #readTogether(waiting: readonly Waiting[]): Promise<void> {
    const success = waiting.map(({ request }) => {
      const limit = Math.min(KEYS_EACH, request.limit ?? KEYS_EACH);
      return { type: "range" as const, range: { ...request, limit } };
    });
    const { header, ranges } = await this.#transport.txn({ compare: [], success, failure: [] });
    if (ranges.length !== waiting.length) {
      throw new SdError("SD_INVARIANT", `etcd answered ${ranges.length} of ${waiting.length} ranges`);
    }
    for (const [index, { unlink, resolve }] of waiting.entries()) {
      unlink?.();
      resolve(new Part(ranges[index] as RangeResponse, header));
    }
  }
}

/** A range of a transaction, under its header: those within have no cluster id. */
class Part implements RangeResponse {
  readonly header: Header;
  readonly #range: RangeResponse;

  constructor(range: RangeResponse, header: Header) {
    this.header = header;
    this.#range = range;
  }

  get kvs(): readonly KeyValue[] {
    return this.#range.kvs;
  }

  get page(): Page | undefined {
    return this.#range.page;
  }

  get more(): boolean {
    return this.#range.more;
  }

  get count(): number {
    return this.#range.count;
  }
}

function fail(waiting: readonly Waiting[], error: unknown): void {
  for (const { unlink, reject } of waiting) {
    unlink?.();
    reject(error);
  }
}
