import type { EtcdTransport } from "@sd/core";

/** A transport some of whose methods are replaced: what `overrides` has counts, the rest is `transport`'s. */
export function overrideTransport(
  transport: EtcdTransport,
  overrides: Partial<EtcdTransport>,
): EtcdTransport {
  return new Proxy(transport, {
    get(target, name) {
      const owner = name in overrides ? overrides : target;
      const value: unknown = Reflect.get(owner, name);
      return typeof value === "function" ? value.bind(owner) : value;
    },
  });
}
