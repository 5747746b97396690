import {
  defaultFormat,
  type EtcdClient,
  type Format,
  type Instance,
  invalidArgument,
  requireOptions,
  servicePrefix,
} from "@sd/core";
import { Discovery } from "./discovery.js";
import { checkWait, type DiscoveryOptions, type WaitOptions } from "./options.js";
import { type Balancer, balancer } from "./picker.js";
import { type Entry, instanceReader, readEntry } from "./read-entry.js";

export interface DiscoverOptions extends DiscoveryOptions {
  readonly service: string;
  /** How instances are read. Default: `host:port`, or a JSON object. */
  readonly format?: Format | undefined;
  /** How instances are picked. Default `round-robin`. */
  readonly balancer?: Balancer | undefined;
}

/** The instances of one service. */
export type ServiceDiscovery = Discovery<Instance>;
/** The keys under one prefix. */
export type PrefixDiscovery = Discovery<Entry>;

/**
 * Discovers the instances of a service.
 *
 * Resolves once they were listed completely and are watched; waits as long as no etcd member answers, or
 * `timeoutMs`. With a `cacheFile`, it resolves too when etcd does not answer and the file can be used: then `state` is
 * `stale`. To see why it waits, or to go on without, use `startDiscovery()`.
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
  const { service, format = defaultFormat, balancer: name = "round-robin" } = options;
  const subject = {
    prefix: servicePrefix(service),
    read: instanceReader(format),
    isPickable,
    makePicker: balancer(name, weightOf),
  };
  return new Discovery(client, subject, options);
}

const weightOf = ({ weight }: Instance): number => weight;
const isPickable = ({ weight }: Instance): boolean => weight > 0;

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
  const subject = {
    prefix,
    read: readEntry,
    isPickable: () => true,
    makePicker: balancer<Entry>("round-robin", () => 1),
  };
  return new Discovery(client, subject, options);
}

async function whenReady<D extends { usable(options: WaitOptions): Promise<void>; close(): Promise<void> }>(
  options: WaitOptions,
  start: () => D,
): Promise<D> {
  requireOptions("the options of a discovery", options);
  checkWait(options);
  options.signal?.throwIfAborted();
  const discovery = start();
  try {
    await discovery.usable(options);
    return discovery;
  } catch (error) {
    await discovery.close();
    throw error;
  }
}
