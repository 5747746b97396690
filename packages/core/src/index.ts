// biome-ignore-all assist/source/organizeImports: by who needs it, not by file

// For everyone.
export { type ClientOptions, type ClientPorts, type Closeable, createClient, EtcdClient } from "./client.js";
export type { Etcd3Credentials, Etcd3TransportOptions } from "./etcd/etcd3/etcd3-transport.js";
export type { SdChannels } from "./kit/channels.js";
export { SdError, type SdErrorCode, type SdErrorOptions } from "./kit/errors.js";
export type { StateListener } from "./kit/machine.js";
export { type Endpoint, parseAddress } from "./model/address.js";
export { defaultFormat, type Format } from "./model/format.js";
export { checkRecord, DEFAULT_WEIGHT, type Instance, type InstanceRecord } from "./model/instance.js";
export { decodeUtf8, type InstanceKey, instanceKey, parseInstanceKey, servicePrefix } from "./model/key.js";

// For those who build on leases and watches.
export { Lease, type LeaseState, type Renewal, type Revocation, type RevokeOptions } from "./lease/lease.js";
export { type GrantOptions, Leases, type RecoverOptions } from "./lease/leases.js";
export { inRange, type KeyRange, prefixRange } from "./watch/key-range.js";
export { Reflector, type ReflectorOptions, type Seen } from "./watch/reflector.js";
export type { ReflectorState } from "./watch/reflector-state.js";
export { defaultLimits, type Limits, requireWithin } from "./watch/limits.js";
export type { Draft, Position, Store } from "./watch/store.js";
export { type Gap, Watch, type WatchCarrier, type WatchSink } from "./watch/watch.js";
export { WatchHub } from "./watch/watch-hub.js";

// For transports, fakes and tests.
export { asTokenError, reasonWantsToken, wantsToken } from "./etcd/etcd3/failures.js";
export { type Token, Tokens, type Waiting } from "./etcd/etcd3/token.js";
export {
  classify,
  EtcdFailure,
  type FailureKind,
  failureError,
  failureOf,
  isLasting,
  isNotApplied,
} from "./etcd/failure.js";
export type { CallOptions, DuplexStream, EtcdTransport, StreamHandlers } from "./etcd/transport.js";
export type * from "./etcd/types.js";

// The kit, for the packages beside this one.
export { retryDelayMs } from "./etcd/retry.js";
export type { RetryBudget } from "./etcd/retry-budget.js";
export { Backoff, type BackoffLimits } from "./kit/backoff.js";
export { Cancellation } from "./kit/cancellation.js";
export { publish } from "./kit/channels.js";
export { type Clock, calendarMs, nextRound, systemClock, type Timer } from "./kit/clock.js";
export { type Deferred, deferred, once } from "./kit/deferred.js";
export {
  describe,
  escapeControl,
  invalidArgument,
  requireListener,
  requireMethods,
  requireOptions,
  requireSignal,
} from "./kit/errors.js";
export { Listeners, Machine, type Tagged, type Transitions } from "./kit/machine.js";
export { Mailbox, newestOnly, type Queue } from "./kit/mailbox.js";
export { type Random, shuffle, systemRandom, uniform } from "./kit/random.js";
export { type LinkedController, linkSignals, sleep, waitFor } from "./kit/signals.js";
