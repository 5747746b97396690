import type { EtcdTransport, GrantRequest } from "@sd/core";

/**
 * The grants that are on their way to etcd, or were in this moment.
 *
 * A client chooses the id, so a grant that comes late or twice may bring back a lease that has expired: where etcd
 * thaws, in the very moment of its end.
 */
export class Grants {
  readonly #underWay = new Map<bigint, number>();
  readonly #answered: bigint[] = [];

  /** The same transport, with its grants counted. */
  count(inner: EtcdTransport): EtcdTransport {
    return {
      range: (request, options) => inner.range(request, options),
      txn: (request, options) => inner.txn(request, options),
      grant: (request, options) => this.#count(request, inner.grant(request, options)),
      revoke: (id, options) => inner.revoke(id, options),
      keepAlive: (handlers, options) => inner.keepAlive(handlers, options),
      watch: (handlers, options) => inner.watch(handlers, options),
      close: () => inner.close(),
    };
  }

  /** Whether a grant of the lease may have been done in this moment. */
  mayHaveCome(lease: bigint): boolean {
    return this.#underWay.has(lease);
  }

  /** The moment is over. */
  moveOn(): void {
    for (const lease of this.#answered.splice(0)) {
      const left = (this.#underWay.get(lease) ?? 0) - 1;
      if (left > 0) this.#underWay.set(lease, left);
      else this.#underWay.delete(lease);
    }
  }

  #count<Answer>({ id }: GrantRequest, work: Promise<Answer>): Promise<Answer> {
    this.#underWay.set(id, (this.#underWay.get(id) ?? 0) + 1);
    return work.finally(() => this.#answered.push(id));
  }
}
