import { emptyMessage, type Field, readInner, type Schema, writeMessage } from "./schema.js";
import type { WireReader } from "./wire-reader.js";
import type { WireWriter } from "./wire-writer.js";

const VARINT = 0;
const DELIMITED = 2;

function scalar<Value>(
  number: number,
  type: number,
  missing: Value,
  isMissing: (value: Value) => boolean,
  put: (writer: WireWriter, value: Value) => void,
  take: (reader: WireReader) => Value,
): Field<Value> {
  const tag = (number << 3) | type;
  return {
    number,
    missing: () => missing,
    write(writer, value) {
      if (isMissing(value)) return;
      put(writer, value);
      writer.varint(tag);
    },
    read: (reader, _tag, _before) => take(reader),
  };
}

/** An `int64` or an enum whose exact value does not matter beyond 2^53: revisions, counts, TTLs. */
export const number = (field: number): Field<number> =>
  scalar(
    field,
    VARINT,
    0,
    (value) => value === 0,
    (writer, value) => writer.varint(value),
    (reader) => reader.number(),
  );

/** An `int64` to the last digit: lease and watch ids. */
export const int64 = (field: number): Field<bigint> =>
  scalar(
    field,
    VARINT,
    0n,
    (value) => value === 0n,
    (writer, value) => writer.varint(value),
    (reader) => reader.int64(),
  );

/** A `uint64` to the last digit: ids of clusters and members, raft's counters. */
export const uint64 = (field: number): Field<bigint> =>
  scalar(
    field,
    VARINT,
    0n,
    (value) => value === 0n,
    (writer, value) => writer.varint(value),
    (reader) => reader.uint64(),
  );

/** A flag. */
export const boolean = (field: number): Field<boolean> =>
  scalar(
    field,
    VARINT,
    false,
    (value) => !value,
    (writer) => writer.varint(1),
    (reader) => reader.boolean(),
  );

const NO_BYTES: Uint8Array = new Uint8Array(0);

function putBytes(writer: WireWriter, value: Uint8Array): void {
  writer.raw(value);
  writer.varint(value.length);
}

/** Bytes. */
export const bytes = (field: number): Field<Uint8Array> =>
  scalar(
    field,
    DELIMITED,
    NO_BYTES,
    (value) => value.length === 0,
    putBytes,
    (reader) => reader.bytes(),
  );

/** A UTF-8 text. */
export const text = (field: number): Field<string> =>
  scalar(
    field,
    DELIMITED,
    "",
    (value) => value === "",
    (writer, value) => putBytes(writer, Buffer.from(value)),
    (reader) => reader.text(),
  );

/** A message within a message, which may be left out. The schema comes by a function, as some hold themselves. */
export function message<Inner>(field: number, schema: () => Schema<Inner>): Field<Inner | undefined> {
  const tag = (field << 3) | DELIMITED;
  return {
    number: field,
    missing: () => undefined,
    write(writer, value) {
      if (value === undefined) return;
      writeMessage(writer, schema(), value);
      writer.varint(tag);
    },
    read: (reader) => readInner(reader, schema()),
  };
}

/** A message within a message, which is always there; read as an empty one if it is not. */
export function always<Inner>(field: number, schema: () => Schema<Inner>): Field<Inner> {
  const inner = message(field, schema);
  return { ...inner, missing: () => emptyMessage(schema()), read: (reader) => readInner(reader, schema()) };
}

/** Any number of messages. */
export function messages<Inner>(field: number, schema: () => Schema<Inner>): Field<readonly Inner[]> {
  return repeated(
    field,
    DELIMITED,
    (writer, value) => writeMessage(writer, schema(), value),
    (reader) => readInner(reader, schema()),
  );
}

/** Any number of byte strings. */
export const byteLists = (field: number): Field<readonly Uint8Array[]> =>
  repeated(field, -1, putBytes, (reader) => reader.bytes());

/** Any number of texts. */
export const texts = (field: number): Field<readonly string[]> =>
  repeated(
    field,
    -1,
    (writer, value) => putBytes(writer, Buffer.from(value)),
    (reader) => reader.text(),
  );

/** Numbers, one by one or packed: both must be read. */
export function numbers(field: number): Field<readonly number[]> {
  const single = repeated(
    field,
    VARINT,
    (writer, value: number) => writer.varint(value),
    (reader) => reader.number(),
  );
  return {
    ...single,
    read(reader, tag, before) {
      if ((tag & 7) !== DELIMITED) return single.read(reader, tag, before);
      const values = [...before];
      const outer = reader.enter();
      while (!reader.isAtEnd) values.push(reader.number());
      reader.leave(outer);
      return values;
    },
  };
}

/** `type` -1: delimited, and `put` writes the length itself. */
function repeated<Value>(
  field: number,
  type: number,
  put: (writer: WireWriter, value: Value) => void,
  take: (reader: WireReader) => Value,
): Field<readonly Value[]> {
  const tag = (field << 3) | (type === -1 ? DELIMITED : type);
  return {
    number: field,
    missing: () => [],
    write(writer, values) {
      for (let index = values.length - 1; index >= 0; index -= 1) {
        put(writer, values[index] as Value);
        writer.varint(tag);
      }
    },
    read(reader, _tag, before) {
      const values = before as Value[];
      values.push(take(reader));
      return values;
    },
  };
}
