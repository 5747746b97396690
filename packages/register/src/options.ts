import {
  defaultFormat,
  type Format,
  type InstanceRecord,
  instanceKey,
  invalidArgument,
  requireMethods,
} from "@sd/core";
import { type Content, type InstanceUpdate, instanceContent, toBytes } from "./content.js";

/**
 * What to do when the key is another's.
 *
 * - `yield`: wait in the state `conflict`, enter when the key is free.
 * - `takeover`: overwrite it, at most once a second; more slowly, up to 30 s apart, against one who writes back.
 * - `fail`: end with `SD_CONFLICT`.
 */
export type ConflictPolicy = "yield" | "takeover" | "fail";

export interface RegistrationOptions {
  /**
   * How long the key outlives a process that died, in whole seconds; etcd may raise it. Renewed every
   * third. Default 15.
   */
  readonly ttlSeconds?: number | undefined;
  /** The least `ttlSeconds` that is accepted: shorter ones fall to any pause of a process. Default 5. */
  readonly minTtlSeconds?: number | undefined;
  /** Default `yield`. */
  readonly onConflict?: ConflictPolicy | undefined;
  /**
   * How long `close()` may wait for etcd, in milliseconds. Default 3000. Of more than 128 that close at once
   * the others take their turn, and their time counts from then on, as long as etcd goes on confirming.
   */
  readonly closeTimeoutMs?: number | undefined;
}

export interface RegisterKeyOptions extends RegistrationOptions {
  readonly key: string | Uint8Array;
  readonly value: string | Uint8Array;
}

/** An instance of a service, and how it is written. */
export interface InstanceOptions extends InstanceRecord {
  /** The name that others discover. */
  readonly service: string;
  /** Tells this instance from others of the service; the same after a restart, if it can be. */
  readonly id: string;
  /** How the instance is written. Default: `host:port`, or JSON if there is more to say. */
  readonly format?: Format | undefined;
}

export interface RegisterOptions extends RegistrationOptions, InstanceOptions {}

export interface RegisterAllOptions extends RegistrationOptions {
  /** At least one; each with a key of its own. */
  readonly instances: readonly InstanceOptions[];
}

/** Checked options, with defaults. */
export interface Settings<Update> {
  readonly key: Uint8Array;
  readonly content: Content<Update>;
  readonly ttlSeconds: number;
  readonly onConflict: ConflictPolicy;
  readonly closeTimeoutMs: number;
}

const policies: readonly unknown[] = ["yield", "takeover", "fail"] satisfies ConflictPolicy[];
const MAX_TTL_SECONDS = 86_400;

/** @throws SdError `SD_INVALID_ARGUMENT` for the first option that cannot work. */
export function instanceSettings(
  instance: InstanceOptions,
  options: RegistrationOptions,
): Settings<InstanceUpdate> {
  const { service, id, format = defaultFormat, address, weight, version, zone, metadata } = instance;
  requireMethods("format", format, ["read", "write"]);
  const content = instanceContent({ address, weight, version, zone, metadata }, format);
  return checkSettings(instanceKey(service, id), content, options);
}

/** @throws SdError `SD_INVALID_ARGUMENT` for the first option that cannot work. */
export function checkSettings<Update>(
  key: string | Uint8Array,
  content: Content<Update>,
  options: RegistrationOptions,
): Settings<Update> {
  const { minTtlSeconds = 5, ttlSeconds = 15, onConflict = "yield", closeTimeoutMs = 3_000 } = options;
  const bytes = toBytes("key", key);
  if (bytes.length === 0) throw invalidArgument("key", "at least one byte long", key);
  if (!Number.isInteger(minTtlSeconds) || minTtlSeconds < 1 || minTtlSeconds > MAX_TTL_SECONDS) {
    throw invalidArgument("minTtlSeconds", `a whole number from 1 to ${MAX_TTL_SECONDS}`, minTtlSeconds);
  }
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < minTtlSeconds || ttlSeconds > MAX_TTL_SECONDS) {
    const hint = minTtlSeconds === 5 ? " (minTtlSeconds lowers the least)" : "";
    throw invalidArgument(
      "ttlSeconds",
      `a whole number from ${minTtlSeconds} to ${MAX_TTL_SECONDS}${hint}`,
      ttlSeconds,
    );
  }
  if (!policies.includes(onConflict)) {
    throw invalidArgument("onConflict", "yield, takeover or fail", onConflict);
  }
  if (!(typeof closeTimeoutMs === "number" && closeTimeoutMs > 0 && closeTimeoutMs <= 60_000)) {
    throw invalidArgument(
      "closeTimeoutMs",
      "a number of milliseconds above 0, at most 60000",
      closeTimeoutMs,
    );
  }
  return { key: bytes, content, ttlSeconds, onConflict, closeTimeoutMs };
}
