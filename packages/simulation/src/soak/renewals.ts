import type { Clock } from "@sd/core";

interface Renewal {
  readonly sentAt: number;
  readonly ttlSeconds: number;
}

/** What etcd has confirmed of leases, as one process has heard it: until when each lives at least. */
export class Renewals {
  readonly #clock: Pick<Clock, "now">;
  /** When renewals were sent that are not answered yet, by lease, in order. */
  readonly #underWay = new Map<bigint, number[]>();
  readonly #newest = new Map<bigint, Renewal>();

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** Another stream: what was under way on the one before is not answered any more. */
  begin(): void {
    this.#underWay.clear();
  }

  send(lease: bigint): void {
    const underWay = this.#underWay.get(lease) ?? [];
    underWay.push(this.#clock.now());
    this.#underWay.set(lease, underWay);
  }

  answer(lease: bigint, ttlSeconds: number): void {
    const sentAt = this.#underWay.get(lease)?.shift();
    if (sentAt !== undefined && ttlSeconds > 0) this.confirm(lease, sentAt, ttlSeconds);
  }

  /** etcd has said that it lives for so long, and cannot have begun to count before `sentAt`. */
  confirm(lease: bigint, sentAt: number, ttlSeconds: number): void {
    this.#newest.set(lease, { sentAt, ttlSeconds });
  }

  /** It is to be revoked: whoever it belongs to has asked for it. */
  end(lease: bigint): void {
    this.#newest.delete(lease);
  }

  /** Before that etcd has no reason to end it. 0 for one that was never confirmed. */
  validUntil(lease: bigint): number {
    const newest = this.#newest.get(lease);
    return newest ? newest.sentAt + newest.ttlSeconds * 1_000 : 0;
  }
}
