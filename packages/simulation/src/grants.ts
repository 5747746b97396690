import type { EtcdTransport, GrantRequest } from "@sd/core";

/**
 * The leases that etcd may have granted again in this moment.
 *
 * A client chooses the id, so a grant that comes late or twice may bring back a lease that has expired: where etcd
 * thaws, in the very moment of its end.
 */
export class Grants {
  readonly #granted = new Set<bigint>();
  /** In this moment, and not for the first time. */
  readonly #again = new Set<bigint>();
  /** How many are not answered. */
  readonly #underWay = new Map<bigint, number>();

  /** The same transport, with its grants noted. */
  note(inner: EtcdTransport): EtcdTransport {
    return {
      range: (request, options) => inner.range(request, options),
      txn: (request, options) => inner.txn(request, options),
      grant: (request, options) => this.#note(request, inner.grant(request, options)),
      revoke: (id, options) => inner.revoke(id, options),
      keepAlive: (handlers, options) => inner.keepAlive(handlers, options),
      watch: (handlers, options) => inner.watch(handlers, options),
      close: () => inner.close(),
    };
  }

  /** Whether the lease, which had been granted, may have been granted once more in this moment. */
  mayBeAgain(lease: bigint): boolean {
    return this.#again.has(lease) || (this.#granted.has(lease) && this.#underWay.has(lease));
  }

  /** The moment is over. */
  moveOn(): void {
    this.#again.clear();
  }

  async #note<Answer>({ id }: GrantRequest, work: Promise<Answer>): Promise<Answer> {
    this.#underWay.set(id, (this.#underWay.get(id) ?? 0) + 1);
    try {
      const answer = await work;
      if (this.#granted.has(id)) this.#again.add(id);
      this.#granted.add(id);
      return answer;
    } finally {
      const left = (this.#underWay.get(id) ?? 0) - 1;
      if (left > 0) this.#underWay.set(id, left);
      else this.#underWay.delete(id);
    }
  }
}
