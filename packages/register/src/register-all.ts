import { type EtcdClient, invalidArgument, requireOptions, SdError } from "@sd/core";
import { type InstanceUpdate, rawContent } from "./content.js";
import { checkSettings, instanceSettings, type RegisterAllOptions, type Settings } from "./options.js";
import { checkArguments, type WaitOptions, whenReady } from "./register.js";
import { RegistrationGroup } from "./registration-group.js";

/** Instances that are registered together. */
export type InstanceGroup = RegistrationGroup<InstanceUpdate>;

/**
 * Registers many instances of one process, on shared leases and in shared transactions.
 *
 * Resolves once etcd has all of them; waits as `register()` does. All end together when the process dies.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` before any I/O.
 * @throws SdError `SD_CONFLICT` if a key is another's and `onConflict` is `fail`; then none stays registered.
 * @throws `signal.reason` when the signal aborts; then none stays registered.
 */
export function registerAll(
  client: EtcdClient,
  options: RegisterAllOptions & WaitOptions,
): Promise<InstanceGroup> {
  return whenReady(options, () => startAllRegistrations(client, options));
}

/**
 * Begins to register, and returns at once: for those who want to see the states on the way.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` before any I/O.
 */
export function startAllRegistrations(client: EtcdClient, options: RegisterAllOptions): InstanceGroup {
  checkArguments(client, options);
  const { instances } = options;
  if (!Array.isArray(instances) || instances.length === 0) {
    throw invalidArgument("instances", "an array of at least one instance", instances);
  }
  refuse(own, options, "set in each of the instances");
  // What all have in common is not the first one's.
  checkSettings("all", rawContent(""), options);
  // Not `map()`: it passes over the holes of an array.
  const settings = Array.from(instances, (instance, index) => {
    try {
      requireOptions("it", instance);
      refuse(shared, instance, "set beside instances, for all of them");
      return instanceSettings(instance, options);
    } catch (error) {
      throw SdError.is(error) ? new SdError(error.code, `instances[${index}]: ${error.message}`) : error;
    }
  });
  checkDistinct(settings);
  return new RegistrationGroup(client, settings);
}

function checkDistinct(settings: readonly Settings<InstanceUpdate>[]): void {
  const seen = new Set<string>();
  for (const { key } of settings) {
    const text = Buffer.from(key).toString();
    if (seen.has(text)) throw invalidArgument("instances", "each of a key of its own", text);
    seen.add(text);
  }
}

/** What one instance cannot have for itself, as the lease is shared, and all are waited for together. */
const shared = ["ttlSeconds", "minTtlSeconds", "onConflict", "closeTimeoutMs", "signal"];
/** What all cannot have in common: beside the instances nobody would look at it. */
const own = ["service", "id", "address", "weight", "version", "zone", "metadata", "format"];

function refuse(names: readonly string[], options: object, requirement: string): void {
  for (const name of names) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) throw invalidArgument(name, requirement, value);
  }
}
