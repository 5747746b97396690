/** Makes random messages of a schema, spoils them, and tells which of them protobufjs reads in its own way. */

/** What a field holds: a number of some kind, bytes, or a message. */
export type Kind = "uint64" | "int64" | "count" | "integer" | "flag" | "bytes" | "text" | Schema;
/** By field number. */
export interface Schema {
  readonly [field: number]: Kind;
}

const header: Schema = { 1: "uint64", 2: "uint64", 3: "count", 4: "uint64" };
const keyValue: Schema = { 1: "bytes", 2: "count", 3: "count", 4: "count", 5: "bytes", 6: "int64" };
/** `prev_kv`, which we pass over, whatever is in it. */
const previous: Schema = { ...keyValue };
const event: Schema = { 1: "flag", 2: keyValue, 3: previous };

export const schemas = {
  Range: { 1: header, 2: keyValue, 3: "flag", 4: "count" },
  Watch: {
    1: header,
    2: "integer",
    3: "flag",
    4: "flag",
    5: "count",
    6: "text",
    7: "flag",
    11: event,
  },
  LeaseKeepAlive: { 1: header, 2: "int64", 3: "integer" },
} satisfies Record<string, Schema>;

/** Gives whole numbers from 0 to below `limit`. */
export type Below = (limit: number) => number;

const isNumber = (kind: Kind): boolean => !isMessage(kind) && kind !== "bytes" && kind !== "text";
const isMessage = (kind: Kind | undefined): kind is Schema => typeof kind === "object";

/** A message with fields of the schema in any order and number, and with some that are not of it. */
export function randomMessage(schema: Schema, below: Below): Buffer {
  const fields = Object.keys(schema).map(Number);
  const parts: Buffer[] = [];
  for (let count = below(8); count > 0; count -= 1) {
    const field = fields[below(fields.length + 1)];
    if (field === undefined) parts.push(unknownField(below));
    else parts.push(...encoded(field, schema[field] as Kind, below));
  }
  return Buffer.concat(parts);
}

function encoded(field: number, kind: Kind, below: Below): Buffer[] {
  if (isNumber(kind)) return [varint(BigInt(field << 3)), varint(randomNumber(kind, below))];
  const bytes = isMessage(kind) ? randomMessage(kind, below) : randomBytes(kind, below);
  return [varint(BigInt((field << 3) | 2)), varint(BigInt(bytes.length)), bytes];
}

function randomNumber(kind: Kind, below: Below): bigint {
  if (kind === "flag") return BigInt(below(3));
  const bits = 1 + below(kind === "uint64" || kind === "int64" ? 64 : 53);
  let value = 0n;
  for (let at = 0; at < bits; at += 8) value = (value << 8n) | BigInt(below(256));
  value = BigInt.asUintN(bits, value);
  return kind === "integer" && below(4) === 0 ? BigInt.asUintN(64, -value) : value;
}

function randomBytes(kind: Kind, below: Below): Buffer {
  const highest = kind === "text" ? 128 : 256;
  return Buffer.from(Array.from({ length: below(below(10) === 0 ? 300 : 12) }, () => below(highest)));
}

function unknownField(below: Below): Buffer {
  const field = below(4) === 0 ? 16 + below(2 ** 20) : 30 + below(20);
  const type = [0, 1, 2, 5][below(4)] as number;
  const tag = varint(BigInt(field * 8 + type));
  const length = below(6);
  const body = {
    0: () => varint(randomNumber("uint64", below)),
    1: () => Buffer.alloc(8, below(256)),
    2: () => Buffer.concat([varint(BigInt(length)), Buffer.alloc(length, below(256))]),
    5: () => Buffer.alloc(4, below(256)),
  }[type] as () => Buffer;
  return Buffer.concat([tag, body()]);
}

export function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** Bytes changed, put in, left out, cut off or doubled, up to three times. */
export function spoiled(message: Buffer, below: Below): Buffer {
  let bytes = message;
  for (let times = below(4); times > 0 && bytes.length > 0; times -= 1) {
    const at = below(bytes.length);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at + 1)];
    const changes = [
      () => [before, Buffer.of(below(256)), after],
      () => [before, Buffer.of(below(256)), bytes.subarray(at)],
      () => [before, after],
      () => [before],
      () => [bytes, bytes.subarray(at)],
      () => [before, Buffer.of((bytes[at] as number) ^ (1 << below(8))), after],
    ];
    bytes = Buffer.concat((changes[below(changes.length)] as () => Buffer[])());
  }
  return bytes;
}

const MAX_COUNT = 2n ** 53n;

/**
 * What becomes of a message.
 *
 * - `plain`: protobufjs reads or refuses it, and so do we.
 * - `broken`: we refuse it. protobufjs takes what is there of a text or number that is cut off, and lets an inner
 *   message run over its end.
 * - `peculiar`: protobufjs takes a known field whatever its wire type, passes over groups, takes the low 32 bits
 *   of a flag, cuts off what a varint has too much, refuses a tag of more than five bytes, and replaces what is not UTF-8 in its own manner.
 *   Revisions and counts of 2^53 and more we refuse.
 */
export function judge(message: Uint8Array, schema: Schema, isInner = false): "plain" | "broken" | "peculiar" {
  let at = 0;
  const number = (): bigint | undefined => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) return undefined;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return 1n << 64n;
  };
  while (at < message.length) {
    const start = at;
    const tag = number();
    if (tag === undefined) return "broken";
    if (tag >= 1n << 32n || tag < 8n || at - start > 5) return "peculiar";
    const [field, type] = [Number(tag >> 3n), Number(tag & 7n)];
    const kind = schema[field];
    if (type === 3 || type === 4 || type > 5) return "peculiar";
    if (kind !== undefined && type !== (isNumber(kind) ? 0 : 2)) return "peculiar";
    if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else {
      const value = number();
      if (value === undefined) return "broken";
      if (type === 0) {
        if (value >= 1n << 64n || (kind !== undefined && isPeculiarNumber(value, kind))) return "peculiar";
      } else {
        if (value >= 1n << 31n) return "peculiar";
        const bytes = message.subarray(at, at + Number(value));
        at += Number(value);
        const inner = isMessage(kind) ? judge(bytes, kind, true) : "plain";
        if (inner !== "plain") return kind === previous ? "peculiar" : inner;
        if (kind === "text" && at > message.length) return "broken";
        if (kind === "text" && !Buffer.from(Buffer.from(bytes).toString()).equals(bytes)) return "peculiar";
      }
    }
    // Both refuse what runs over the end of the whole message.
    if (at > message.length) return isInner ? "broken" : "plain";
  }
  return "plain";
}

function isPeculiarNumber(value: bigint, kind: Kind): boolean {
  if (kind === "flag") return value >= 1n << 31n;
  if (kind === "count") return value >= MAX_COUNT;
  const signed = BigInt.asIntN(64, value);
  return kind === "integer" && (signed >= MAX_COUNT || signed <= -MAX_COUNT);
}
