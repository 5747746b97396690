import {
  checkRecord,
  DEFAULT_WEIGHT,
  defaultFormat,
  type Format,
  type Instance,
  invalidArgument,
  type KeyValue,
  parseAddress,
  parseInstanceKey,
} from "@sd/core";
import type { Keyed } from "./change.js";
import type { ReadEntry } from "./instance-store.js";

/** One key and its value, as etcd holds them. */
export interface Entry extends Keyed {
  /** As UTF-8; bytes that are not show as replacement characters. */
  readonly value: string;
  /** A copy of its own. */
  readonly valueBytes: Uint8Array;
  /** 0n: the key has no lease, and will not go by itself. */
  readonly leaseId: bigint;
  readonly createRevision: number;
  readonly modRevision: number;
}

/** Reads the instances of one service. */
export function instanceReader(format: Format): ReadEntry<Instance> {
  // Whatever another's gives is held to what may be written; ours has checked it.
  const read: Format["read"] =
    format === defaultFormat ? (value) => format.read(value) : (value) => checkRecord(format.read(value));
  // Of 100,000 instances, each would else hold a string of its own.
  let service = "";
  return (kv, key) => {
    const name = key === undefined ? undefined : parseInstanceKey(key);
    if (key === undefined || !name) {
      throw invalidArgument("the key", "/<service>/<id>, percent-encoded", key ?? kv.key);
    }
    if (name.service !== service) service = name.service;
    const { address, weight = DEFAULT_WEIGHT, version, zone, metadata = noMetadata } = read(kv.value);
    const { host, port } = parseAddress(address);
    // Written out, not spread together: so V8 gives all of them one shape, without a table of their own.
    return Object.freeze({
      service,
      id: name.id,
      host,
      port,
      address,
      weight,
      version,
      zone,
      metadata,
      key,
      leaseId: kv.lease,
      createRevision: kv.createRevision,
      modRevision: kv.modRevision,
    });
  };
}

const noMetadata: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

/** Reads any key and value. */
export function readEntry(kv: KeyValue, key: string | undefined): Entry {
  if (key === undefined) throw invalidArgument("the key", "UTF-8", kv.key);
  // What etcd sent is a view of the whole list, and would keep it alive.
  const valueBytes = new Uint8Array(kv.value);
  return Object.freeze({
    key,
    value: Buffer.from(valueBytes.buffer).toString(),
    valueBytes,
    leaseId: kv.lease,
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
  });
}
