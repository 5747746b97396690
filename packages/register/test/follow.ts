import { type EtcdClient, prefixRange, Reflector, type ReflectorState } from "@sd/core";

/** Follows the keys of a prefix; `seen` tells every state that it was in. */
export function follow(client: EtcdClient, prefix: string) {
  const keys = new Set<string>();
  const revisions = new Map<string, number>();
  const seen: ReflectorState["status"][] = [];
  const reflector = new Reflector(client, {
    range: prefixRange(Buffer.from(prefix)),
    store: {
      get size() {
        return keys.size;
      },
      revisionOf: (key) => {
        const text = Buffer.from(key).toString();
        return keys.has(text) ? revisions.get(text) : undefined;
      },
      replace: (kvs) => {
        keys.clear();
        for (const { key, modRevision } of kvs) {
          keys.add(Buffer.from(key).toString());
          revisions.set(Buffer.from(key).toString(), modRevision);
        }
      },
      apply: (events) => {
        for (const { type, kv } of events) {
          const key = Buffer.from(kv.key).toString();
          revisions.set(key, kv.modRevision);
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
