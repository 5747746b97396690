import { text } from "../../src/memory/requests.fixture.js";

/** A message of a watch stream, in etcd's words or the port's. */
export interface Told {
  readonly watchId: bigint | number;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compactRevision: number;
  readonly cancelReason: string;
  readonly events: readonly unknown[];
}

/** Lease ids above this were chosen by the server. */
const CHOSEN = 2n ** 55n;

/**
 * An answer without what differs between any two etcds: ids of cluster and member, chosen lease ids, raft's
 * counters, sizes, the order of things that have none, and the seconds that have passed.
 */
export function normalised(answer: unknown): unknown {
  return plain("", answer);
}

function plain(name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  if (Array.isArray(value)) {
    const items = value.map((item) => plain("", item));
    return unordered.has(name) ? items.map((item) => JSON.stringify(item)).sort() : items;
  }
  if (typeof value === "bigint") return bigintText(name, value);
  if (typeof value === "number") return unstable.has(name) ? "a number" : value;
  if (typeof value !== "object" || value === null) return value;
  const entries = fieldsOf(value).map(([key, inner]) => [key, plain(key, inner)] as const);
  const record: Record<string, unknown> = Object.fromEntries(entries);
  if ("grantedTtl" in record) record["ttl"] = elapsed(record);
  return record;
}

/** The fields of a message; some of the adapter's are getters of its class. */
function fieldsOf(message: object): [name: string, value: unknown][] {
  const inherited = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(message) ?? {});
  const getters = Object.keys(inherited).filter((name) => name !== "__proto__" && inherited[name]?.get);
  // A page shows the keys and values once more, slice by slice.
  const names = [...Object.keys(message), ...getters].filter((name) => name !== "page");
  return names.map((name) => [name, Reflect.get(message, name)]);
}

/** Leases come in the order of their ends; keys of a lease, and alarms, in that of Go's maps. */
const unordered = new Set(["leases", "keys", "alarms", "errors"]);
const unstable = new Set(["dbSize", "dbSizeInUse"]);
const ids = new Set(["clusterId", "leader", "raftIndex", "raftTerm", "raftAppliedIndex"]);

function bigintText(name: string, value: bigint): string {
  if (ids.has(name) || (name === "memberId" && value > 1_000n)) return value === 0n ? "none" : "an id";
  return name === "id" && value > CHOSEN ? "chosen by etcd" : `${value}n`;
}

/** What is left of a TTL: all but a little, or not there. */
function elapsed({ ttl, grantedTtl }: Record<string, unknown>): unknown {
  const passed = Number(grantedTtl) - Number(ttl);
  return ttl !== -1 && passed >= 0 && passed < 60 ? "nearly all" : ttl;
}

/**
 * What each watch of a stream was told, by its id, in order: watches have no order among each other.
 *
 * @param whole with headers and the limits of messages; else only events and ends, as catching up takes its time.
 */
export function byWatch(messages: readonly Told[], whole: boolean): Record<string, unknown[]> {
  const result: Record<string, unknown[]> = {};
  for (const message of messages) {
    const { watchId, created, canceled, compactRevision, cancelReason, events } = message;
    const told = result[String(watchId)] ?? [];
    result[String(watchId)] = told;
    if (whole) told.push(normalised(message));
    else {
      if (created || canceled) told.push({ created, canceled, compactRevision, cancelReason });
      for (const event of events) told.push(normalised(event));
    }
  }
  return result;
}

/** How many events there are in all. */
export function countEvents(messages: readonly Told[]): number {
  return messages.reduce((sum, { events }) => sum + events.length, 0);
}

/** A step for the message of a difference. */
export function describeStep(step: unknown): string {
  return JSON.stringify(step, (_name, value: unknown) => {
    if (typeof value === "bigint") return `${value}n`;
    if (value instanceof Uint8Array) return value.length > 200 ? `${value.length} bytes` : text(value);
    return value === false || value === 0 || value === "" ? undefined : value;
  });
}
