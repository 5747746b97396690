import type { Compare, LeaseId, TxnRequest } from "@sd/core";
import { keyOf } from "./history.js";
import type { Request } from "./link.js";
import type { Record } from "./record.js";

/** Looks at each request of one process as it leaves it: what may never be asked, whatever comes of it. */
export class RequestCheck {
  readonly #name: string;
  readonly #record: Record;
  readonly #onPut: (key: string, lease: LeaseId) => void;
  readonly granted = new Set<bigint>();
  /** Puts without an answer, by lease and key. */
  readonly #underWay = new Map<string, number>();

  constructor(name: string, record: Record, onPut: (key: string, lease: LeaseId) => void) {
    this.#name = name;
    this.#record = record;
    this.#onPut = onPut;
  }

  /** @returns to be called when the request is over for the process. */
  see(each: Request): () => void {
    this.#record.totals.requests += 1;
    switch (each.verb) {
      case "grant": {
        const { id } = each.request;
        this.#note(`grant ${id.toString(16)}`);
        if (id <= 0n || id >= 2n ** 63n) this.#blame("R6", `asks for a lease with the id ${id}`);
        this.granted.add(id);
        break;
      }
      case "revoke":
        this.#note(`revoke ${each.request.id.toString(16)}`);
        if (!this.granted.has(each.request.id)) this.#blame("R3", "revokes a lease that is not its own");
        break;
      case "renew":
        if (!this.granted.has(each.request.id)) this.#blame("R4", "renews a lease that is not its own");
        break;
      case "txn":
        return this.#txn(each.request);
      case "range":
        this.#note(`range ${keyOf(each.request.key)}${revisionText(each.request.revision)}`);
        break;
      case "watchRequest": {
        const { request } = each;
        if (request.type !== "create") break;
        this.#note(`watch ${keyOf(request.key)} from ${request.startRevision}`);
        if (request.startRevision < 1) this.#blame("D5", `watches from revision ${request.startRevision}`);
        break;
      }
      default:
        this.#note(`open ${each.verb}`);
    }
    return () => {};
  }

  #txn({ compare, success, failure }: TxnRequest): () => void {
    const puts: string[] = [];
    for (const operation of [...success, ...failure]) {
      if (operation.type === "range") continue;
      const key = keyOf(operation.key);
      const guards = compare.filter((each) => keyOf(each.key) === key);
      if (operation.type === "delete") {
        if (!guards.some((each) => this.#isOwnLease(each))) this.#blame("R3", `deletes ${key} unguarded`);
        continue;
      }
      const { lease } = operation;
      this.#note(`put ${key} under ${lease.toString(16)}`);
      if (lease === 0n) this.#blame("R4", `puts ${key} without a lease`);
      else if (!this.granted.has(lease)) this.#blame("R4", `puts ${key} under a lease that is not its own`);
      if (guards.length === 0) this.#blame("R2", `puts ${key} unguarded`);
      this.#onPut(key, lease);
      puts.push(`${lease} ${key}`);
    }
    for (const put of puts) {
      const count = (this.#underWay.get(put) ?? 0) + 1;
      this.#underWay.set(put, count);
      if (count > 1) this.#blame("R5", `has ${count} puts under way of one key under one lease`);
    }
    return () => {
      for (const put of puts) this.#underWay.set(put, (this.#underWay.get(put) ?? 1) - 1);
    };
  }

  #isOwnLease(compare: Compare): boolean {
    return compare.target === "lease" && compare.equals !== 0n && this.granted.has(compare.equals);
  }

  #note(text: string): void {
    this.#record.note(this.#name, text);
  }

  #blame(invariant: string, text: string): void {
    this.#record.blame(invariant, this.#name, text);
  }
}

function revisionText(revision: number | undefined): string {
  return revision === undefined ? "" : ` at ${revision}`;
}
