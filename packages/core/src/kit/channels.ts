import { type Channel, channel } from "node:diagnostics_channel";

/**
 * What the packages tell, by channel name (`sd:<noun>:<participle>`).
 *
 * Payloads carry ids, revisions and durations, never credentials. Of values, the errors about what cannot be read
 * show the beginning, escaped.
 * Subscribe with `diagnostics_channel.subscribe(name, listener)`; unheard channels cost one property read.
 */
export interface SdChannels {
  "sd:connection:opened": { readonly endpoint: string; readonly lane: string; readonly durationMs: number };
  "sd:connection:failed": { readonly endpoint: string; readonly lane: string; readonly error: unknown };
  "sd:connection:closed": { readonly endpoint: string; readonly lane: string };
  "sd:lease:granted": { readonly leaseId: bigint; readonly ttlSeconds: number };
  "sd:lease:renewed": { readonly leaseId: bigint; readonly ttlSeconds: number; readonly durationMs: number };
  "sd:lease:lost": { readonly leaseId: bigint; readonly reason: string };
  "sd:keepalive:interrupted": { readonly error: unknown; readonly leases: number };
  "sd:watch:interrupted": { readonly error: unknown; readonly watches: number };
  "sd:reflector:listed": {
    readonly prefix: string;
    readonly revision: number;
    readonly keys: number;
    readonly durationMs: number;
  };
  /** etcd was asked whether it holds what the store does. */
  "sd:reflector:checked": {
    readonly prefix: string;
    readonly revision: number;
    readonly scope: "anchor" | "all";
    /** "equal", "failed" (it says nothing), or what was found. */
    readonly outcome: string;
    readonly durationMs: number;
  };
  /** A comparison found a difference, and a list has mended it. */
  "sd:reflector:repaired": {
    readonly prefix: string;
    readonly revision: number;
    readonly finding: string;
    /** Of this reflector so far. */
    readonly repairs: number;
  };
  /** etcd's history was found to be another one. */
  "sd:epoch:begun": {
    readonly prefix: string;
    readonly revision: number;
    readonly epoch: number;
    readonly reason: string;
  };
  /** A watch stream broke its own rules. */
  "sd:watch:violated": { readonly violation: string; readonly endpoint: string | undefined };
  "sd:reflector:failed": { readonly prefix: string; readonly error: unknown };
  "sd:registration:registered": { readonly key: string; readonly leaseId: bigint; readonly revision: number };
  /**
   * The key is another's. `leaseId` 0n: under no lease, so it stays until somebody deletes it. `repairs`: how
   * often in a row ours was put right before; growing, two of a kind overwrite each other.
   */
  "sd:registration:contested": {
    readonly key: string;
    readonly leaseId: bigint;
    readonly repairs: number;
  };
  "sd:registration:failed": { readonly key: string; readonly error: unknown };
  /** So many went at once that they stay for a while: see `massLoss` of a discovery. */
  "sd:loss:held": {
    readonly prefix: string;
    /** That went with this message. */
    readonly keys: number;
    /** That are still in etcd. */
    readonly left: number;
  };
  /** What a discovery knows was written to its cache file. */
  "sd:cache:saved": {
    readonly prefix: string;
    readonly revision: number;
    readonly keys: number;
    readonly durationMs: number;
  };
  /** etcd did not answer, and a discovery shows what the file holds. */
  "sd:cache:restored": {
    readonly prefix: string;
    readonly revision: number;
    readonly keys: number;
    readonly ageMs: number;
  };
  /** The cache file was refused, or could not be read or written. The discovery goes on without. */
  "sd:cache:failed": {
    readonly prefix: string;
    readonly operation: "read" | "write";
    readonly error: unknown;
  };
  "sd:instance:rejected": { readonly key: string; readonly error: unknown };
  "sd:listener:failed": { readonly error: unknown };
}

/** Node holds a channel weakly, and finds it by a call into C++: too dear for each renewal of ten thousand leases. */
const channels = new Map<string, Channel>();

function channelOf(name: string): Channel {
  const known = channels.get(name) ?? channel(name);
  channels.set(name, known);
  return known;
}

/** Publishes `payload()` on `name`, built only if somebody listens. Tells whether somebody did. */
export function publish<Name extends keyof SdChannels>(name: Name, payload: () => SdChannels[Name]): boolean {
  const target = channelOf(name);
  if (!target.hasSubscribers) return false;
  target.publish(payload());
  return true;
}
