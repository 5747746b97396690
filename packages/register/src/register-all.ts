import { type EtcdClient, invalidArgument, requireOptions } from "@sd/core";
import type { InstanceUpdate } from "./content.js";
import { instanceSettings, type RegisterAllOptions, type Settings } from "./options.js";
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
  const settings = instances.map((instance) => {
    requireOptions("each of the instances", instance);
    return instanceSettings(instance, options);
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
