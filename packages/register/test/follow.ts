import { type EtcdClient, prefixRange, Reflector, type ReflectorState } from "@sd/core";

/** Follows the keys of a prefix; `seen` tells every state that it was in. */
export function follow(client: EtcdClient, prefix: string) {
  const keys = new Set<string>();
  const seen: ReflectorState["status"][] = [];
  const reflector = new Reflector(client, {
    range: prefixRange(Buffer.from(prefix)),
    store: {
      replace: (kvs) => {
        keys.clear();
        for (const { key } of kvs) keys.add(Buffer.from(key).toString());
      },
      apply: (events) => {
        for (const { type, kv } of events) {
          const key = Buffer.from(kv.key).toString();
          if (type === "put") keys.add(key);
          else keys.delete(key);
        }
        return true;
      },
      bookmark: () => {},
    },
  });
  reflector.subscribe(({ status }) => void seen.push(status));
  return { reflector, keys, seen };
}
