import {
  DEFAULT_WEIGHT,
  decodeUtf8,
  defaultFormat,
  type EtcdClient,
  type Format,
  type Instance,
  invalidArgument,
  type KeyValue,
  parseAddress,
  parseInstanceKey,
  requireOptions,
  servicePrefix,
} from "@sd/core";
import type { Keyed } from "./change.js";
import { Discovery } from "./discovery.js";
import { checkTimeout, type DiscoveryOptions, type WaitOptions } from "./options.js";

export interface DiscoverOptions extends DiscoveryOptions {
  readonly service: string;
  /** How instances are read. Default: `host:port`, or a JSON object. */
  readonly format?: Format | undefined;
}

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

/** The instances of one service. */
export type ServiceDiscovery = Discovery<Instance>;
/** The keys under one prefix. */
export type PrefixDiscovery = Discovery<Entry>;

/**
 * Discovers the instances of a service.
 *
 * Resolves once they were listed completely and are watched; waits as long as no etcd member answers, or
 * `timeoutMs`. To see why it waits, or to go on without, use `startDiscovery()`.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` before any I/O.
 * @throws SdError `SD_UNAVAILABLE` when the time is over; nothing is left behind.
 * @throws `signal.reason` when the signal aborts, likewise.
 */
export function discover(
  client: EtcdClient,
  options: DiscoverOptions & WaitOptions,
): Promise<ServiceDiscovery> {
  return whenReady(options, () => startDiscovery(client, options));
}

/** As `discover()`, one level lower: every key under a prefix, which ends with a slash, and its value. */
export function discoverPrefix(
  client: EtcdClient,
  prefix: string,
  options: DiscoveryOptions & WaitOptions = {},
): Promise<PrefixDiscovery> {
  return whenReady(options, () => startPrefixDiscovery(client, prefix, options));
}

/**
 * Begins to discover a service, and returns at once: for those who want to see the states on the way.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` before any I/O.
 */
export function startDiscovery(client: EtcdClient, options: DiscoverOptions): ServiceDiscovery {
  requireOptions("the options of a discovery", options);
  const { service, format = defaultFormat } = options;
  const subject = {
    prefix: servicePrefix(service),
    read: (kv: KeyValue) => readInstance(kv, format),
    isPickable: ({ weight }: Instance) => weight > 0,
  };
  return new Discovery(client, subject, options);
}

/** As `startDiscovery()`, for every key under a prefix. */
export function startPrefixDiscovery(
  client: EtcdClient,
  prefix: string,
  options: DiscoveryOptions = {},
): PrefixDiscovery {
  requireOptions("the options of a discovery", options);
  if (typeof prefix !== "string" || !prefix.isWellFormed() || !prefix.endsWith("/")) {
    throw invalidArgument("prefix", "text that ends with / (or /web would find /web-admin too)", prefix);
  }
  return new Discovery(client, { prefix, read: readEntry }, options);
}

function readInstance(kv: KeyValue, format: Format): Instance {
  const name = parseInstanceKey(kv.key);
  if (!name)
    throw invalidArgument("the key", "/<service>/<id>, percent-encoded", decodeUtf8(kv.key) ?? kv.key);
  const { address, weight = DEFAULT_WEIGHT, version, zone, metadata } = format.read(kv.value);
  return Object.freeze({
    ...name,
    ...parseAddress(address),
    address,
    weight,
    version,
    zone,
    metadata: metadata ?? noMetadata,
    key: Buffer.from(kv.key).toString(),
    leaseId: kv.lease,
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
  });
}

const noMetadata: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

function readEntry(kv: KeyValue): Entry {
  const key = decodeUtf8(kv.key);
  if (key === undefined) throw invalidArgument("the key", "UTF-8", kv.key);
  return Object.freeze({
    key,
    value: Buffer.from(kv.value).toString(),
    // What etcd sent is a view of the whole list, and would keep it alive.
    valueBytes: new Uint8Array(kv.value),
    leaseId: kv.lease,
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
  });
}

async function whenReady<D extends { ready(options: WaitOptions): Promise<void>; close(): Promise<void> }>(
  options: WaitOptions,
  start: () => D,
): Promise<D> {
  requireOptions("the options of a discovery", options);
  checkTimeout(options.timeoutMs);
  options.signal?.throwIfAborted();
  const discovery = start();
  try {
    await discovery.ready(options);
    return discovery;
  } catch (error) {
    await discovery.close();
    throw error;
  }
}
