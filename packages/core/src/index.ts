export {
  classify,
  EtcdFailure,
  type FailureKind,
  failureError,
  failureOf,
  isLasting,
  isRefusal,
} from "./etcd/failure.js";
export type { CallOptions, DuplexStream, EtcdTransport, StreamHandlers } from "./etcd/transport.js";
export type * from "./etcd/types.js";
export { Backoff, type BackoffLimits } from "./kit/backoff.js";
export { publish, type SdChannels } from "./kit/channels.js";
export { type Clock, sleep, systemClock, type Timer } from "./kit/clock.js";
export {
  describe,
  escapeControl,
  invalidArgument,
  SdError,
  type SdErrorCode,
  type SdErrorOptions,
} from "./kit/errors.js";
export { Listeners, Machine, type StateListener, type Tagged, type Transitions } from "./kit/machine.js";
export { Mailbox } from "./kit/mailbox.js";
export { type Random, shuffle, systemRandom, uniform } from "./kit/random.js";
export { type LinkedController, linkSignals, waitFor } from "./kit/signals.js";
