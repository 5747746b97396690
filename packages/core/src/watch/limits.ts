import type { KeyValue, WatchEvent } from "../etcd/types.js";
import { invalidArgument, SdError } from "../kit/errors.js";
import type { Store } from "./store.js";

/** How much a store may hold. Beyond it nothing is taken in any more, and what is held is kept. */
export interface Limits {
  /** Default 250,000. */
  readonly maxKeys: number;
  /** Of keys and values as etcd sends them. Default 256 MiB. */
  readonly maxBytes: number;
}

export const defaultLimits: Limits = { maxKeys: 250_000, maxBytes: 256 * 1024 * 1024 };

/** @throws SdError `SD_INVALID_ARGUMENT` for what cannot be a limit. */
export function checkLimits({ maxKeys, maxBytes }: Limits): void {
  checkLimit("maxKeys", maxKeys);
  checkLimit("maxBytes", maxBytes);
}

function checkLimit(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw invalidArgument(name, "an integer of at least 1", value);
}

/** @throws SdError `SD_LIMIT_EXCEEDED` if there is more than the limits allow. */
export function requireWithin({ maxKeys, maxBytes }: Limits, keys: number, bytes: number): void {
  if (keys > maxKeys) {
    throw new SdError("SD_LIMIT_EXCEEDED", `etcd holds at least ${keys} keys, and maxKeys is ${maxKeys}`);
  }
  if (bytes > maxBytes) {
    throw new SdError("SD_LIMIT_EXCEEDED", `etcd holds at least ${bytes} bytes, and maxBytes is ${maxBytes}`);
  }
}

/** How many keys the store would hold after `events`: exact only if it could be more than `atMost`. */
export function keysAfter(store: Store, events: readonly WatchEvent[], atMost: number): number {
  if (store.size + events.length <= atMost) return store.size;
  const isHeld = new Map<string, boolean>();
  let keys = store.size;
  for (const { type, kv } of events) {
    const id = Buffer.from(kv.key).toString("latin1");
    const before = isHeld.get(id) ?? store.revisionOf(kv.key) !== undefined;
    keys += Number(type === "put") - Number(before);
    isHeld.set(id, type === "put");
  }
  return keys;
}

export function bytesOf(kvs: readonly KeyValue[]): number {
  let bytes = 0;
  for (const { key, value } of kvs) bytes += key.length + value.length;
  return bytes;
}

/** What `events` add at most: what they replace or delete is not known. */
export function bytesAdded(events: readonly WatchEvent[]): number {
  let bytes = 0;
  for (const { type, kv } of events) if (type === "put") bytes += kv.key.length + kv.value.length;
  return bytes;
}
