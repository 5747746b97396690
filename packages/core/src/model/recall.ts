import { parseAddress } from "./address.js";
import type { InstanceRecord } from "./instance.js";

/** What the values begin with that we write. */
const HEAD = Buffer.from('{"address":"');
/** More is not worth the memory. */
const MAX_REST_BYTES = 512;
const MAX_RESTS = 1_000;
/** Where so many in a row were new, only every 64th is looked up: else each would cost 2.7 instead of 1.7 µs. */
const MANY_NEW = 1_000;
const [QUOTE, BACKSLASH, SPACE, DELETE] = [34, 92, 32, 127];

/** A record that was read, by all that follows the address in its value: one character for each byte. */
const records = new Map<string, InstanceRecord>();
/** How many in a row were not among them. */
let newInRow = 0;

/**
 * Reads a value with `read`, or puts it together from its address and one that was read before: the instances
 * of a service differ in their addresses, and few in what follows. 0.6 instead of 1.5 µs a value;
 * where all are new 1.9 instead of 1.7. What they share exists once.
 *
 * @throws as `read` does.
 */
export function recall(value: Uint8Array, read: (value: Uint8Array) => InstanceRecord): InstanceRecord {
  if (newInRow > MANY_NEW && newInRow++ % 64 !== 0) return read(value);
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.length);
  const end = endOfAddress(bytes);
  if (end === undefined || bytes.length - end > MAX_REST_BYTES) return read(value);
  const rest = bytes.toString("latin1", end);
  const known = records.get(rest);
  if (known) {
    newInRow = 0;
    const address = bytes.toString("latin1", HEAD.length, end);
    parseAddress(address);
    return { ...known, address };
  }
  newInRow += 1;
  const record = read(value);
  // A second address would count instead of the first, and a name with a backslash may be one in disguise.
  if (rest.includes("\\") || rest.includes('"address"')) return record;
  if (records.size >= MAX_RESTS) records.clear();
  // A copy: what its reader does with the record is nobody else's.
  records.set(rest, { ...record });
  return record;
}

/** Where the quote after the address is, if the value begins with a plain one: ASCII, and nothing escaped. */
function endOfAddress(bytes: Buffer): number | undefined {
  for (let at = 0; at < HEAD.length; at++) if (bytes[at] !== HEAD[at]) return undefined;
  for (let at = HEAD.length; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at;
    if (byte < SPACE || byte >= DELETE || byte === BACKSLASH) return undefined;
  }
  return undefined;
}
