export type { CacheStorage } from "./cache-file.js";
export type { Change, ChangeListener } from "./change.js";
export {
  type DiscoverOptions,
  discover,
  discoverPrefix,
  type PrefixDiscovery,
  type ServiceDiscovery,
  startDiscovery,
  startPrefixDiscovery,
} from "./discover.js";
export type { Discovery, DiscoveryState } from "./discovery.js";
export type { MassLossOptions } from "./mass-loss.js";
export type { DiscoveryOptions, WaitOptions } from "./options.js";
export type { Balancer } from "./picker.js";
export type { Entry } from "./read-entry.js";
export type { Snapshot } from "./snapshot.js";
