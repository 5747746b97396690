import type { WireReader } from "./wire-reader.js";
import type { WireWriter } from "./wire-writer.js";

/** How one field of a message is written and read; `Value` is what it holds. */
export interface Field<Value> {
  readonly number: number;
  /** What the field holds if it is not in the message. */
  readonly missing: () => Value;
  /** Writes the field backwards, tag last; nothing if it holds what a missing one would. */
  write(writer: WireWriter, value: Value): void;
  /** Reads what stands after `tag`; gives what the field holds now. */
  read(reader: WireReader, tag: number, before: Value): Value;
}

/** The fields of a message by their names: every one that its type has. */
export type Schema<Message> = { readonly [Name in keyof Message]-?: Field<Message[Name]> };

interface Compiled {
  readonly names: readonly string[];
  readonly fields: readonly Field<unknown>[];
  readonly byNumber: readonly (number | undefined)[];
}

const compiled = new WeakMap<object, Compiled>();

/** The fields in the order of their numbers, which is also the order in which they are written. */
function compile(schema: object): Compiled {
  const known = compiled.get(schema);
  if (known) return known;
  const entries = Object.entries(schema as Record<string, Field<unknown>>);
  entries.sort(([, one], [, other]) => one.number - other.number);
  const byNumber: (number | undefined)[] = [];
  entries.forEach(([, field], index) => {
    byNumber[field.number] = index;
  });
  const result = {
    names: entries.map(([name]) => name),
    fields: entries.map(([, field]) => field),
    byNumber,
  };
  compiled.set(schema, result);
  return result;
}

/** Writes a message's fields, and its length if it stands within another. */
export function writeMessage<Message>(writer: WireWriter, schema: Schema<Message>, value: Message): void {
  const before = writer.length;
  writeFields(writer, schema, value);
  writer.varint(writer.length - before);
}

/** Writes the fields of a message, backwards. */
export function writeFields<Message>(writer: WireWriter, schema: Schema<Message>, value: Message): void {
  const { names, fields } = compile(schema);
  const record = value as Record<string, unknown>;
  for (let index = fields.length - 1; index >= 0; index -= 1) {
    fields[index]?.write(writer, record[names[index] as string]);
  }
}

/** Reads the fields of a message up to where the reader ends. Unknown ones are passed over. */
export function readFields<Message>(reader: WireReader, schema: Schema<Message>): Message {
  const { names, fields, byNumber } = compile(schema);
  const record = emptyMessage(schema) as Record<string, unknown>;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const index = byNumber[tag >>> 3];
    if (index === undefined) {
      reader.skip(tag);
      continue;
    }
    const name = names[index] as string;
    record[name] = fields[index]?.read(reader, tag, record[name]);
  }
  return record as Message;
}

/** Reads a message that stands within another. */
export function readInner<Inner>(reader: WireReader, schema: Schema<Inner>): Inner {
  const outer = reader.enter();
  const value = readFields(reader, schema);
  reader.leave(outer);
  return value;
}

/** A message of which nothing was given. */
export function emptyMessage<Message>(schema: Schema<Message>): Message {
  const { names, fields } = compile(schema);
  const record: Record<string, unknown> = {};
  for (let index = 0; index < fields.length; index += 1)
    record[names[index] as string] = fields[index]?.missing();
  return record as Message;
}
