import { type EtcdClient, requireMethods, requireOptions, requireSignal } from "@sd/core";
import { type InstanceUpdate, rawContent } from "./content.js";
import { checkSettings, instanceSettings, type RegisterKeyOptions, type RegisterOptions } from "./options.js";
import { Registration } from "./registration.js";

/** Ends the waiting for the registration, which is then closed. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A service instance that is registered. */
export type InstanceRegistration = Registration<InstanceUpdate>;
/** A key that is registered. */
export type KeyRegistration = Registration<string | Uint8Array>;

/**
 * Registers an instance of a service, and keeps it registered until `close()`.
 *
 * Resolves once etcd has it under a live lease; waits as long as no etcd member answers, or as the key is
 * another's (see `onConflict`). To see why it waits, use `startRegistration()`.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` before any I/O.
 * @throws SdError `SD_CONFLICT` if the key is another's and `onConflict` is `fail`.
 * @throws `signal.reason` when the signal aborts.
 */
export function register(
  client: EtcdClient,
  options: RegisterOptions & WaitOptions,
): Promise<InstanceRegistration> {
  return whenReady(options, () => startRegistration(client, options));
}

/** As `register()`, one level lower: any key, any value. A holder with the same value is a predecessor. */
export function registerKey(
  client: EtcdClient,
  options: RegisterKeyOptions & WaitOptions,
): Promise<KeyRegistration> {
  return whenReady(options, () => startKeyRegistration(client, options));
}

/**
 * Begins to register an instance, and returns at once: for those who want to see the states on the way.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` before any I/O.
 */
export function startRegistration(client: EtcdClient, options: RegisterOptions): InstanceRegistration {
  checkArguments(client, options);
  return new Registration(client, instanceSettings(options, options));
}

/** As `startRegistration()`, for any key and value. */
export function startKeyRegistration(client: EtcdClient, options: RegisterKeyOptions): KeyRegistration {
  checkArguments(client, options);
  return new Registration(client, checkSettings(options.key, rawContent(options.value), options));
}

/** @throws SdError `SD_INVALID_ARGUMENT` for what is no client, or no options. */
export function checkArguments(client: EtcdClient, options: unknown): void {
  requireMethods("client", client, ["attach"], "made by createClient()");
  requireOptions("the options of a registration", options);
}

/** What is started is closed again if it does not become ready. */
export async function whenReady<T extends Startable>(options: WaitOptions, start: () => T): Promise<T> {
  requireOptions("the options of a registration", options);
  const { signal } = options;
  requireSignal(signal);
  signal?.throwIfAborted();
  const started = start();
  try {
    await started.ready({ signal });
    return started;
  } catch (error) {
    await started.close();
    throw error;
  }
}

interface Startable {
  ready(options: WaitOptions): Promise<void>;
  close(): Promise<unknown>;
}
