import { invalidArgument, type KeyValue, prefixRange } from "@sd/core";
import type { MemoryEtcd } from "../memory/memory-etcd.js";
import type { TestEtcd } from "../start/test-etcd.js";

/** What can converge: a discovery of `@sd/discover`. */
export interface Converging {
  /** Ends with a slash. */
  readonly prefix: string;
  readonly state: { readonly status: string };
  readonly snapshot: {
    readonly revision: number;
    readonly instances: readonly Shown[];
  };
  /** Keys whose value cannot be read. */
  readonly rejected: ReadonlyMap<string, unknown>;
}

/** One entry of it: an instance of a service, or any key. */
export interface Shown {
  readonly key: string;
  readonly modRevision: number;
  readonly id?: string;
  readonly address?: string;
}

/** An id, an address or a key for each instance, in any order; or the etcd whose content counts. */
export type Expected = readonly string[] | TestEtcd | MemoryEtcd;

/** How what is shown stands to what is expected, as lists that are equal once it has converged. */
export interface Standing {
  readonly shown: readonly string[];
  readonly expected: readonly string[];
}

/** @throws SdError `SD_INVALID_ARGUMENT` for what nothing can converge to. */
export function checkExpected(expected: unknown): void {
  if (typeof expected !== "object" || expected === null) {
    throw invalidArgument("what it converges to", "a list of ids, addresses or keys, or an etcd", expected);
  }
}

/** Compares now. */
export async function standing(discovery: Converging, expected: Expected): Promise<Standing> {
  if (isList(expected)) return byName(discovery.snapshot.instances, expected);
  const held = await heldBy(expected, discovery.prefix);
  return {
    shown: discovery.snapshot.instances.map(({ key, modRevision }) => `${key} @${modRevision}`).sort(),
    expected: held
      .map(({ key, modRevision }) => ({ key: Buffer.from(key).toString(), modRevision }))
      .filter(({ key }) => !discovery.rejected.has(key))
      .map(({ key, modRevision }) => `${key} @${modRevision}`)
      .sort(),
  };
}

export function isEqual({ shown, expected }: Standing): boolean {
  return shown.length === expected.length && shown.every((name, index) => name === expected[index]);
}

/** Calls each instance by the name that is expected, and by its key if none is. */
function byName(instances: readonly Shown[], expected: readonly string[]): Standing {
  const wanted = [...expected];
  const shown = instances.map(({ key, id, address }) => {
    const index = wanted.findIndex((name) => name === id || name === address || name === key);
    return index < 0 ? (id ?? key) : (wanted.splice(index, 1)[0] as string);
  });
  return { shown: shown.sort(), expected: [...expected].sort() };
}

async function heldBy(etcd: TestEtcd | MemoryEtcd, prefix: string): Promise<readonly KeyValue[]> {
  return "entries" in etcd ? etcd.entries(prefix) : etcd.range(prefixRange(Buffer.from(prefix))).kvs;
}

function isList(expected: Expected): expected is readonly string[] {
  return Array.isArray(expected);
}
