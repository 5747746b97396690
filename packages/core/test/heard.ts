import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { SdChannels } from "../src/kit/channels.js";

/** Writes down what is told on a channel, until disposed. */
export function heard<Name extends keyof SdChannels>(name: Name): SdChannels[Name][] & Disposable {
  const log: SdChannels[Name][] = [];
  const hear = (message: unknown): void => void log.push(message as SdChannels[Name]);
  subscribe(name, hear);
  return Object.assign(log, { [Symbol.dispose]: () => void unsubscribe(name, hear) });
}
