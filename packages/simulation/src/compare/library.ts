import { createClient, sleep, systemClock } from "@sd/core";
import { startPrefixDiscovery } from "@sd/discover";
import { startKeyRegistration } from "@sd/register";
import { Etcd3, type IKeyValue } from "etcd3";

const REGRANT_MS = 100;

/** What one library's watch of a prefix has told. */
export interface Watching {
  /** Every event in order: `+key@revision` for a put, `-key@revision` for a delete. */
  readonly told: readonly string[];
  /** What its user believes that etcd holds: the revision of each key. */
  readonly held: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** One library's key under a lease that it renews. */
export interface Holding {
  close(): Promise<void>;
}

/** A library as it is meant to be used, by what its own documentation shows. */
export interface Library {
  readonly name: string;
  /** Lists what is there, and watches what follows. */
  watch(endpoints: readonly string[], prefix: string): Promise<Watching>;
  /** Puts a key under a lease and keeps it there. */
  hold(endpoints: readonly string[], key: string, value: string, ttlSeconds: number): Promise<Holding>;
}

/** Ours. */
export const ours: Library = {
  name: "ours",
  async watch(endpoints, prefix) {
    const client = createClient({ endpoints: [...endpoints] });
    const discovery = startPrefixDiscovery(client, prefix);
    await discovery.ready();
    const told: string[] = [];
    discovery.onChanges((changes) => {
      for (const change of changes) {
        const { key, modRevision } = change.instance;
        told.push(change.type === "removed" ? `-${key}@${change.revision}` : `+${key}@${modRevision}`);
      }
    });
    return {
      told,
      get held() {
        return new Map(discovery.snapshot.instances.map(({ key, modRevision }) => [key, modRevision]));
      },
      close: () => client.close(),
    };
  },
  async hold(endpoints, key, value, ttlSeconds) {
    const client = createClient({ endpoints: [...endpoints] });
    const registration = startKeyRegistration(client, { key, value, ttlSeconds });
    await registration.ready();
    return { close: () => client.close() };
  },
};

/** The package etcd3 by itself: `getAll()` and a `Watcher` from the next revision on; a `Lease`, granted anew when lost. */
export const plainEtcd3: Library = {
  name: "etcd3",
  async watch(endpoints, prefix) {
    const client = new Etcd3({ hosts: [...endpoints] });
    const { kvs, header } = await client.getAll().prefix(prefix).exec();
    const held = new Map(kvs.map((kv) => [keyOf(kv), Number(kv.mod_revision)]));
    const told: string[] = [];
    const from = `${Number(header.revision) + 1}`;
    const watcher = await client.watch().prefix(prefix).startRevision(from).create();
    watcher.on("put", (kv) => {
      told.push(`+${keyOf(kv)}@${kv.mod_revision}`);
      held.set(keyOf(kv), Number(kv.mod_revision));
    });
    watcher.on("delete", (kv) => {
      told.push(`-${keyOf(kv)}@${kv.mod_revision}`);
      held.delete(keyOf(kv));
    });
    // Without a listener the process would end.
    watcher.on("error", () => {});
    return { told, held, close: async () => client.close() };
  },
  async hold(endpoints, key, value, ttlSeconds) {
    const client = new Etcd3({ hosts: [...endpoints] });
    let isClosed = false;
    const grantLease = async (): Promise<void> => {
      if (isClosed) return;
      const lease = client.lease(ttlSeconds);
      lease.on("lost", () => {
        // As its documentation shows; but a refusal must not make it spin.
        void sleep(systemClock, REGRANT_MS).then(() => grantLease().catch(() => {}));
      });
      await lease.put(key).value(value).exec();
    };
    await grantLease();
    return {
      close: async () => {
        isClosed = true;
        client.close();
      },
    };
  },
};

function keyOf({ key }: IKeyValue): string {
  return key.toString();
}
