import { checkRecord, type Format, type InstanceRecord, invalidArgument } from "@sd/core";

/** What a registration writes, and how it recognises its own kind. `Update` is what changes it. */
export interface Content<Update> {
  readonly value: Uint8Array;
  /** The content after `update`. @throws SdError `SD_INVALID_ARGUMENT` */
  change(update: Update): Content<Update>;
  /** Whether `value`, found at our key, was written by an earlier life of this very process or address. */
  isPredecessor(value: Uint8Array): boolean;
}

/** New values for some fields of a record; `undefined` takes an optional one away. */
export type InstanceUpdate = { readonly [Field in keyof InstanceRecord]?: InstanceRecord[Field] | undefined };

/** An instance's record; an instance with the same address is its predecessor. */
export function instanceContent(record: InstanceUpdate, format: Format): Content<InstanceUpdate> {
  const checked = checkRecord(record);
  const value = bytesOf(format, checked);
  return {
    value,
    change: (update) => instanceContent({ ...checked, ...update }, format),
    isPredecessor(other) {
      try {
        return format.read(other).address === checked.address;
      } catch {
        // Whatever a format throws, as in a discovery.
        return false;
      }
    },
  };
}

/** Copied: a format may write all instances into one buffer. */
function bytesOf(format: Format, record: InstanceRecord): Uint8Array {
  const written: unknown = format.write(record);
  if (written instanceof Uint8Array) return new Uint8Array(written);
  throw invalidArgument("what format.write() gives", "bytes, as of Buffer.from(text)", written);
}

/** Any bytes; the same bytes are a predecessor. */
export function rawContent(input: string | Uint8Array): Content<string | Uint8Array> {
  const value = toBytes("value", input);
  return {
    value,
    change: rawContent,
    isPredecessor: (other) => Buffer.compare(other, value) === 0,
  };
}

/** Text as UTF-8; bytes copied, so that the caller may reuse its buffer. */
export function toBytes(name: string, input: unknown): Uint8Array {
  if (typeof input === "string") {
    // Half of a pair would be written as U+FFFD: two keys could become one.
    if (!input.isWellFormed()) throw invalidArgument(name, "well-formed Unicode", input);
    // Copied out of Node's pool: one key that is kept would keep all the 8 KiB that it was cut from.
    return new Uint8Array(Buffer.from(input));
  }
  if (input instanceof Uint8Array) return new Uint8Array(input);
  throw invalidArgument(name, "a string or bytes", input);
}
